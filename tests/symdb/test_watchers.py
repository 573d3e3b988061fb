"""What waits for a watcher: the last of each market's changes, as seen by who knew the first."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_store import Market
from qd_symdb.directory import Change, Directory, Entry, Kind
from qd_symdb.watching import WatchEnded, Watchers

TAKEN_MAX = 2
Step = tuple[int, int] | None
"""A market and its new count of trades, 0 to remove it; or None: the watcher takes."""

steps = st.lists(st.none() | st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=30)


@given(steps, st.sampled_from((0, 1, 2)))
def test_a_watcher_knows_what_there_is(history: list[Step], exchange: int) -> None:
    asyncio.run(_watch(history, exchange))


async def _watch(history: list[Step], exchange: int) -> None:
    directory, watchers = Directory(), Watchers()
    known: dict[tuple[int, int], Market] = {}
    with watchers.watching(exchange) as watcher:
        for step in history:
            if step is None:
                _learn(known, await watcher.take(0, TAKEN_MAX))
                continue
            market = Market(1 + step[0] % 2, step[0], f"S{step[0]}", step[1], 0, 0)
            there = [market] if step[1] else []
            watchers.push(directory.replace({market.key}, there))
        while changes := await watcher.take(0, TAKEN_MAX):
            assert len(changes) <= TAKEN_MAX
            _learn(known, changes)
    assert not len(watchers)
    assert known == {entry.key: entry.market for entry in directory.entries(exchange)}


def _learn(known: dict[tuple[int, int], Market], changes: list[Change]) -> None:
    for change in changes:
        if change.kind is Kind.REMOVED:
            known.pop(change.entry.key, None)
        else:
            assert (change.entry.key in known) is (change.kind is Kind.CHANGED)
            known[change.entry.key] = change.entry.market


async def test_an_ended_watch_says_why() -> None:
    watchers = Watchers()
    with watchers.watching(0) as watcher:
        waiting = asyncio.ensure_future(watcher.take(60, 1))
        await asyncio.sleep(0)
        watchers.push([Change(Kind.ADDED, Entry(Market(1, 1, "A", 1, 0, 0)))])
        watchers.end("the database cannot be asked")
        with pytest.raises(WatchEnded, match="the database cannot be asked"):
            await waiting
