"""What producers of both clients share: their counts, their ends, and what they refuse.

How records reach the cluster is the clients' business.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from qd_fluvio.errors import DeadlineExceeded, FluvioError, RecordTooLarge
from qd_fluvio.limits import RECORD_BYTES_MAX, Limits
from qd_schemas.errors import SettingError

Keys = Sequence[bytes | None]


class Producing(ABC):
    """The half of `qd_fluvio.api.Producer` that knows of no connection."""

    def __init__(self, topic: str, limits: Limits) -> None:
        self._topic = topic
        self._limits = limits
        self._sent = self._acknowledged = 0  # records
        self._error: FluvioError | None = None
        self.error_was_raised = False  # a caller knows already
        self._closed = False

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def sent(self) -> int:
        """Records taken so far."""
        return self._sent

    @property
    def acknowledged(self) -> int:
        """Records the cluster has acknowledged so far."""
        return self._acknowledged

    @abstractmethod
    async def flush(self) -> None:
        """Return when all records so far are acknowledged, or raise."""

    @abstractmethod
    def close(self) -> None:
        """Close at once, whatever is unacknowledged."""

    async def aclose(self) -> None:
        """Flush within `close_seconds` and close."""
        if self._closed:
            return
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self.flush()
        except TimeoutError:
            raise DeadlineExceeded(self._unacknowledged("were still unacknowledged")) from None
        finally:
            self.close()

    def _overdue(self) -> DeadlineExceeded:
        seconds = self._limits.send_seconds
        return DeadlineExceeded(self._unacknowledged(f"were not acknowledged within {seconds:g} s"))

    def _after_close(self) -> FluvioError:
        return FluvioError(f"the producer of topic {self._topic!r} is closed; open another")

    def _unacknowledged(self, what: str) -> str:
        count = self._sent - self._acknowledged
        return (
            f"topic {self._topic!r}: the last {count} of {self._sent} records {what}; "
            "the cluster may have some of them. Check the cluster, then send on a new producer"
        )


def checked_keys(payloads: Sequence[bytes], keys: Keys | None) -> Keys | None:
    """As many keys as payloads, with None for empty ones, or no keys.

    Raises
    ------
    SettingError
        There are more or fewer.
    """
    if keys is None:
        return None
    if len(keys) != len(payloads):
        raise SettingError(f"{len(keys)} keys for {len(payloads)} records; give as many, or none")
    return [key or None for key in keys]


def record_sizes(payloads: Sequence[bytes], keys: Keys | None) -> list[int]:
    """The bytes of each record with its key.

    Raises
    ------
    RecordTooLarge
        One of them is over the limit.
    """
    sizes = list(map(len, payloads))
    if keys is not None:
        sizes = [size + len(key or b"") for size, key in zip(sizes, keys, strict=True)]
    if (largest := max(sizes, default=0)) > RECORD_BYTES_MAX:
        raise too_large(largest)
    return sizes


def too_large(size: int) -> RecordTooLarge:
    """The error for a record of so many bytes."""
    return RecordTooLarge(
        f"a record of {size} bytes, its key included; at most {RECORD_BYTES_MAX} are taken, "
        "split it"
    )
