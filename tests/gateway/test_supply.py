"""A supply under any order of events: each row once, and its source used by one at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from qd_gateway.streams.supply import Supply
from qd_schemas.arrays import TRADE, Rows

ROWS = np.zeros(40, TRADE)
ROWS["sequence"] = np.arange(1, len(ROWS) + 1)


class StrictSource:
    """Rows in memory, by pieces of up to four batches; it cannot do two things at once.

    Each thing it does takes some turns of the loop, which a test says.
    """

    def __init__(self, turns: Iterator[int]) -> None:
        self._turns = turns
        self._at = self._end = 0
        self._is_busy = False

    @property
    def is_open(self) -> bool:
        return self._at < self._end

    async def next(self, rows: int) -> Rows | None:
        async with self._busy():
            if not self.is_open:
                self._end = min(self._at + 4 * rows, len(ROWS))
            batch = ROWS[self._at : min(self._at + rows, self._end)]
            self._at += len(batch)
        return batch if len(batch) else None

    async def let_go(self) -> None:
        if self.is_open:
            async with self._busy():
                self._end = self._at

    def go_back(self, last: Rows | None) -> None:
        assert not self._is_busy
        self._at = self._end = 0 if last is None else int(last["sequence"][0])

    @contextlib.asynccontextmanager
    async def _busy(self) -> AsyncIterator[None]:
        assert not self._is_busy, "two things at once"
        self._is_busy = True
        try:
            await turns_of_the_loop(next(self._turns))
            yield
        except asyncio.CancelledError:
            self._end = self._at  # as who reads leaves what it cannot go on with
            raise
        finally:
            self._is_busy = False


EVENTS = st.one_of(
    st.integers(1, 12).map(lambda rows: ("read", rows)),
    st.integers(1, 12).map(lambda rows: ("take", rows)),
    st.just(("shrink", 0)),
    st.just(("shrink at once", 0)),
    st.integers(1, 6).map(lambda turns: ("wait", turns)),
)


async def taken(supply: Supply, history: list[tuple[str, int]]) -> list[Rows]:
    """The rows that are taken while these things happen."""
    parts = [ROWS[:0]]
    for event, number in history:
        supply.collect()
        match event:
            case "read" if not supply.is_reading and not supply.has_ended:
                supply.read(number)
            case "take" if len(supply.rows):
                parts.append(supply.take(min(number, len(supply.rows))))
            case "shrink":
                supply.shrink()
            case "shrink at once":
                supply.shrink(at_once=True)
            case _:
                await turns_of_the_loop(number)
    return parts


async def turns_of_the_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def supplied(source: StrictSource, history: list[tuple[str, int]]) -> Rows:
    """All rows that are taken while these things happen, and after them."""
    news = asyncio.Event()
    async with contextlib.aclosing(Supply(source, news.set)) as supply:
        parts = await taken(supply, history)
        while not supply.has_ended:
            news.clear()
            supply.collect()
            if len(supply.rows):
                parts.append(supply.take(len(supply.rows)))
            elif not supply.has_ended:
                if not supply.is_reading:
                    supply.read(7)
                await news.wait()
    assert not source.is_open
    return np.concatenate(parts)


@example(
    # Leaves a piece anew in the very turn in which the reading that waited for that goes on.
    turns=[1],
    history=[
        ("read", 1),
        ("shrink at once", 0),
        ("read", 1),
        ("wait", 5),
        ("shrink at once", 0),
    ],
)
@given(
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    history=st.lists(EVENTS, max_size=40),
)
def test_rows_come_once_and_the_source_is_used_by_one(
    turns: list[int], history: list[tuple[str, int]]
) -> None:
    again = (turns[number % len(turns)] for number in range(100_000))
    np.testing.assert_array_equal(asyncio.run(supplied(StrictSource(again), history)), ROWS)


async def cancelled(
    source: StrictSource, history: list[tuple[str, int]], again_after: int, *, shrinks: bool
) -> None:
    """Leave a supply by a cancellation, and in the midst of that by another one."""
    supply, is_there = Supply(source, lambda: None), asyncio.Event()

    async def use() -> None:
        async with contextlib.aclosing(supply):
            await taken(supply, history)
            is_there.set()
            await asyncio.Event().wait()

    user = asyncio.create_task(use())
    await is_there.wait()
    user.cancel()
    if shrinks:  # what is due at the same time
        supply.shrink(at_once=True)
    await turns_of_the_loop(again_after)
    user.cancel()
    (found,) = await asyncio.gather(user, return_exceptions=True)
    assert isinstance(found, asyncio.CancelledError), found
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    assert not source.is_open


@example(turns=[4], history=[("read", 1)], again_after=0, shrinks=True)
@example(turns=[0], history=[("read", 1)], again_after=1, shrinks=False)
@given(
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    history=st.lists(EVENTS, max_size=10),
    again_after=st.integers(0, 6),
    shrinks=st.booleans(),
)
def test_who_is_cancelled_leaves_no_piece_open(
    turns: list[int], history: list[tuple[str, int]], again_after: int, shrinks: bool
) -> None:
    again = (turns[number % len(turns)] for number in range(100_000))
    heard: list[object] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        await cancelled(StrictSource(again), history, again_after, shrinks=shrinks)

    asyncio.run(run())
    assert heard == []
