"""A producer for all partitions of a topic: one producer for each, and Fluvio's rule of choice.

The client spreads records by itself too, but takes one without a key for one with an empty
key: all of them would go to the same partition.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence

from qd_fluvio.official.producer import OfficialProducer
from qd_fluvio.partitioning import Partitioner
from qd_fluvio.producing import Keys, checked_keys, record_sizes


class SpreadingProducer:
    """See `qd_fluvio.api.Producer`.

    Parameters
    ----------
    producers : sequence of OfficialProducer
        One for each partition, by its number.
    """

    def __init__(self, producers: Sequence[OfficialProducer]) -> None:
        self._producers = producers
        self._partitioner = Partitioner(len(producers))

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._producers[0].topic

    @property
    def sent(self) -> int:
        """Records taken so far."""
        return sum(producer.sent for producer in self._producers)

    @property
    def acknowledged(self) -> int:
        """Records the cluster has acknowledged so far; of each partition the first ones."""
        return sum(producer.acknowledged for producer in self._producers)

    @property
    def is_usable(self) -> bool:
        """See `qd_fluvio.api.Producer.is_usable`."""
        return all(producer.is_usable for producer in self._producers)

    async def send(self, payload: bytes, key: bytes | None = None) -> None:
        """Take one record; see `qd_fluvio.api.Producer.send`."""
        await self.send_many([payload], [key])

    async def send_many(self, payloads: Sequence[bytes], keys: Keys | None = None) -> None:
        """Take many records; see `qd_fluvio.api.Producer.send_many`."""
        found = checked_keys(payloads, keys) or [None] * len(payloads)
        record_sizes(payloads, found)  # all, before any is taken
        chosen: defaultdict[int, tuple[list[bytes], list[bytes | None]]]
        chosen = defaultdict(lambda: ([], []))
        for payload, key in zip(payloads, found, strict=True):
            values, its_keys = chosen[self._partitioner.choose(key)]
            values.append(payload)
            its_keys.append(key)
        for partition, (values, its_keys) in chosen.items():
            await self._producers[partition].send_many(values, its_keys)

    async def flush(self) -> None:
        """Return when all records so far are acknowledged, or raise."""
        await _all(producer.flush() for producer in self._producers)

    async def aclose(self) -> None:
        """Flush within `close_seconds` and close."""
        await _all(producer.aclose() for producer in self._producers)

    def close(self) -> None:
        """Close at once."""
        for producer in self._producers:
            producer.close()


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Wait for all calls, then raise the first error."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if outcome is not None:
            raise outcome
