"""Freeing the disk again and again while a broker runs: retention, and outdated commits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.settings import CLEANING_INTERVAL_S
from qd_fluvio.errors import LogError

_log = logging.getLogger("broker.cleaning")


async def keep_clean(
    catalog: Catalog,
    consumers: ConsumerOffsets,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Clean both after every interval, until cancelled."""
    while True:
        await wait(CLEANING_INTERVAL_S)
        await catalog.clean()
        try:
            await consumers.clean()
        except LogError as error:
            _log.error("%s", error)
