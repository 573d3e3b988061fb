"""Topics that drop duplicates by a SmartModule of the cluster, not by the broker's own filter.

A partition has one chain, which remembers what it has seen: its batches pass in the order
in which they are written, and a chain that saw what was not written is made anew, looking
back at what was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from qd_fluvio.broker.readable import ReadableLog
from qd_fluvio.broker.smartmodules.lookback import look_back
from qd_fluvio.broker.smartmodules.runner import ModuleRunner, RunningChain
from qd_fluvio.broker.smartmodules.transform import stored
from qd_fluvio.errors import TopicNotFound
from qd_fluvio.wire.metadata import Deduplication
from qd_fluvio.wire.smartmodules import FilterKind, Invocation, Lookback, StoredModule

_VERSION = 25  # of the modules' inputs and outputs; no request says one


class WritableLog(ReadableLog, Protocol):
    """A partition that can be written to."""

    deleted: bool

    def append(self, records: memoryview) -> int:
        """Write whole batches; gives the first record's offset."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each append and when the log is deleted."""

    def forget(self, listener: Callable[[], None]) -> None:
        """Stop calling `listener`."""


class TopicFilters:
    """One chain for each partition that was written to and has such a filter."""

    def __init__(self, runner: ModuleRunner, now_ms: Callable[[], int]) -> None:
        self._runner = runner
        self._now_ms = now_ms
        self._filters: dict[WritableLog, _Filter] = {}

    async def append(self, log: WritableLog, wanted: Deduplication, records: memoryview) -> int:
        """Write what the topic's filter keeps.

        Returns
        -------
        int
            The offset of the first record; where none was kept, the partition's end.

        Raises
        ------
        ModuleNotFound, ModuleFailed
            If the filter is gone, or cannot go on.
        TopicNotFound
            If the topic was deleted meanwhile.
        FluvioError
            Whatever the log refuses.
        """
        held = self._filters.get(log) or self._hold(log)
        async with held.lock:
            chain, held.chain = held.chain, None
            if chain is None:
                chain = await self._start(log, wanted)
            try:
                kept = await chain.run(partial(stored, data=records))
                if log.deleted:
                    raise TopicNotFound("the topic was deleted while it was written to")
                offset = log.append(memoryview(kept))
            except BaseException:
                chain.close()  # it remembers what was not written
                raise
            held.chain = chain
            return offset

    def close(self) -> None:
        """End all chains."""
        for log in list(self._filters):
            self._release(log)

    def _hold(self, log: WritableLog) -> _Filter:
        held = self._filters[log] = _Filter(lambda: self._heard(log))
        log.listen(held.listener)
        return held

    def _heard(self, log: WritableLog) -> None:
        if log.deleted:
            self._release(log)

    def _release(self, log: WritableLog) -> None:
        held = self._filters.pop(log)
        log.forget(held.listener)
        if held.chain is not None:
            held.chain.close()
            held.chain = None

    async def _start(self, log: WritableLog, wanted: Deduplication) -> RunningChain:
        chain = await self._runner.open([_invocation(wanted)], _VERSION)
        try:
            await look_back(chain, log, self._now_ms)
        except BaseException:
            chain.close()
            raise
        return chain


class _Filter:
    """One partition's chain, while nothing uses it, and whose turn it is."""

    def __init__(self, listener: Callable[[], None]) -> None:
        self.listener = listener
        self.lock = asyncio.Lock()
        self.chain: RunningChain | None = None


def _invocation(wanted: Deduplication) -> Invocation:
    """What a real SPU asks of the filter: its bounds, as parameters and to look back."""
    bounds = wanted.bounds
    parameters = {"count": str(bounds.count)}
    if bounds.age is not None:
        age_ms = bounds.age.seconds * 1_000 + bounds.age.nanoseconds // 1_000_000
        parameters["age"] = str(age_ms)
    parameters.update(wanted.transform.parameters)
    return Invocation(
        StoredModule(wanted.transform.uses),
        FilterKind(),
        tuple(parameters.items()),
        Lookback(bounds.count, bounds.age),
    )
