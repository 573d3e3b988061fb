"""How consumers of both clients give records out: one by one, as they arrive, or up to an offset.

Where records come from is the clients' business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from qd_fluvio.api import Record


class Reading(ABC):
    """The half of `qd_fluvio.api.Consumer` that gives out what `_receive` brings."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._batch: list[Record] = []  # received, given out from the end of the reversed list

    @abstractmethod
    async def _receive(self) -> list[Record] | None:
        """The next records; None once this consumer is closed."""

    @property
    @abstractmethod
    def _next_received(self) -> int:
        """The offset of the record that `_receive` brings next."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def next_offset(self) -> int:
        """The offset of the record that comes next."""
        return self._batch[-1].offset if self._batch else self._next_received

    def __aiter__(self) -> AsyncIterator[Record]:
        """Records, for ever."""
        return self

    async def __anext__(self) -> Record:
        """The next record; see `qd_fluvio.api.Consumer`."""
        if not self._batch and not await self._fill():
            raise StopAsyncIteration
        return self._batch.pop()

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Records as they arrive; see `qd_fluvio.api.Consumer.batches`."""
        if self._batch:
            batch, self._batch = self._batch[::-1], []
            yield batch
        while (received := await self._receive()) is not None:
            yield received

    async def read_until(self, end_offset: int) -> AsyncIterator[Record]:
        """Records before `end_offset`; see `qd_fluvio.api.Consumer.read_until`."""
        while self.next_offset < end_offset and (self._batch or await self._fill()):
            while self._batch and self._batch[-1].offset < end_offset:
                yield self._batch.pop()

    async def _fill(self) -> bool:
        """Receive records to give out one by one; False once this consumer is closed."""
        batch = await self._receive()
        if batch is not None:
            batch.reverse()
            self._batch = batch
        return batch is not None
