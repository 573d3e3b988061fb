"""The messages of one kind among a topic's records; whatever else is there is passed over."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TypeVar

from qd_fluvio import Record
from qd_schemas.codec import iter_messages
from qd_schemas.errors import DecodeError
from qd_schemas.messages import Message

_log = logging.getLogger("qd_client")

Kind = TypeVar("Kind", bound=Message)


async def decoded(
    records: AsyncIterator[Record], kind: type[Kind], topic: str
) -> AsyncIterator[Kind]:
    """Yield the messages of a kind; anyone can write to a topic, so others are skipped."""
    async for record in records:
        try:
            messages = list(iter_messages(record.value))
        except DecodeError as error:
            _log.warning("ignored record %d of %s: %s", record.offset, topic, error)
            continue
        for message in messages:
            if isinstance(message, kind):
                yield message
