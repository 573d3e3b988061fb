"""The cache against a service whose answers and changes arrive in any order that is possible."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qd_client.symdb.cache import Asking, Cache, Key
from qd_client.symdb.values import ChangeKind, MarketChange, MarketInfo

EXCHANGE = 1
MARKETS_MAX = 4
ids = st.integers(1, 2)


def market(symbol_id: int, trades: int = 1) -> MarketInfo:
    return MarketInfo(EXCHANGE, symbol_id, f"S{symbol_id}", trades, 0, 0)


@dataclass(slots=True)
class OnItsWay:
    """A call: what the service answered, which the client has not received yet."""

    key: Key
    asking: Asking
    held: ExitStack
    answer: list[MarketInfo] = field(default_factory=list)


class CacheAndService(RuleBasedStateMachine):
    """Once all changes have been received, what is kept is what the service has."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(MARKETS_MAX)
        self.stored: dict[int, MarketInfo] = {}
        self.untold: list[MarketChange] = []
        self.calls: list[OnItsWay] = []

    def answer(self, key: Key) -> list[MarketInfo]:
        if key[0] == "list":
            return [self.stored[symbol_id] for symbol_id in sorted(self.stored)]
        return [self.stored[int(key[2])]] if key[2] in self.stored else []

    @rule(symbol_id=ids)
    def change(self, symbol_id: int) -> None:
        before = self.stored.get(symbol_id)
        kind = ChangeKind.CHANGED if before else ChangeKind.ADDED
        after = replace(before, trades=before.trades + 1) if before else market(symbol_id)
        self.stored[symbol_id] = after
        self.untold.append(MarketChange(kind, after))

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def remove(self, data: Any) -> None:
        symbol_id = data.draw(st.sampled_from(sorted(self.stored)))
        self.untold.append(MarketChange(ChangeKind.REMOVED, self.stored.pop(symbol_id)))

    @rule(symbol_id=ids, listed=st.booleans())
    def ask(self, symbol_id: int, listed: bool) -> None:
        """The service answers what it has; it has told of all that changed before."""
        key: Key = ("list", EXCHANGE, 0) if listed else ("id", EXCHANGE, symbol_id)
        held = ExitStack()
        asking = held.enter_context(self.cache.asking(EXCHANGE))
        self.calls.append(OnItsWay(key, asking, held, self.answer(key)))

    @precondition(lambda self: self.untold)
    @rule()
    def told(self) -> None:
        self.cache.invalidate(self.untold.pop(0))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def answered(self, data: Any) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        with call.held:
            if call.answer:
                self.cache.keep(call.asking, call.key, tuple(call.answer), call.answer)

    @initialize()
    def watch_begins(self) -> None:
        self.cache.begin()

    @rule(begins=st.booleans(), chance=st.integers(0, 9))
    def watch_is_lost(self, begins: bool, chance: int) -> None:
        if chance:
            return  # seldom, so that longer histories lie between
        self.cache.end()
        self.untold.clear()  # another watch tells of what changes from then on
        if begins:
            self.cache.begin()

    @invariant()
    def what_is_kept_is_right_once_all_is_told(self) -> None:
        assert len(self.cache) <= MARKETS_MAX
        touched = {change.market.symbol_id for change in self.untold}
        keys: list[Key] = [("id", EXCHANGE, symbol_id) for symbol_id in range(1, 5)]
        for key in [*keys, ("list", EXCHANGE, 0)]:
            kept = self.cache.get(key)
            if kept is None or (touched if key[0] == "list" else key[2] in touched):
                continue
            assert list(kept) == self.answer(key)


TestCacheAndService = CacheAndService.TestCase


@given(st.lists(st.tuples(ids, st.integers(1, 5)), max_size=20))
def test_it_holds_no_more_than_it_may(asked: list[tuple[int, int]]) -> None:
    cache = Cache(MARKETS_MAX)
    cache.begin()
    for number, count in asked:
        markets = [market(symbol_id) for symbol_id in range(number, number + count)]
        with cache.asking(EXCHANGE) as asking:
            key: Key = ("name", EXCHANGE, f"{number}:{count}")
            cache.keep(asking, key, markets, markets)
        assert (cache.get(key) is None) is (count > MARKETS_MAX)
        assert len(cache) <= MARKETS_MAX


def test_the_longest_unused_goes_first() -> None:
    cache = Cache(2)
    cache.begin()
    for symbol_id in (1, 2):
        keep(cache, symbol_id)
    assert cache.get(("id", EXCHANGE, 1)) is not None
    keep(cache, 3)
    kept = [symbol_id for symbol_id in (1, 2, 3) if cache.get(("id", EXCHANGE, symbol_id))]
    assert kept == [1, 3]


def keep(cache: Cache, symbol_id: int) -> None:
    with cache.asking(EXCHANGE) as asking:
        found = market(symbol_id)
        cache.keep(asking, ("id", EXCHANGE, symbol_id), found, [found])


def test_a_cache_without_room_or_without_a_watch_keeps_nothing() -> None:
    for cache, begun in ((Cache(0), True), (Cache(5), False)):
        if begun:
            cache.begin()
        keep(cache, 1)
        assert cache.get(("id", EXCHANGE, 1)) is None


@pytest.mark.parametrize("kind", ChangeKind)
@pytest.mark.parametrize("how", ["id", "list"])
def test_an_answer_from_before_a_change_that_came_first_is_not_kept(
    kind: ChangeKind, how: str
) -> None:
    cache = Cache(MARKETS_MAX)
    cache.begin()
    key: Key = (how, EXCHANGE, 1 if how == "id" else 0)
    with cache.asking(EXCHANGE) as asking:
        cache.invalidate(MarketChange(kind, market(1, trades=2)))
        cache.keep(asking, key, [market(1)], [market(1)])
    assert cache.get(key) is None


def test_a_change_of_another_market_leaves_what_is_kept() -> None:
    cache = Cache(MARKETS_MAX)
    cache.begin()
    keep(cache, 1)
    cache.invalidate(MarketChange(ChangeKind.CHANGED, market(2)))
    assert cache.get(("id", EXCHANGE, 1)) is not None


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_market_that_takes_the_name_by_which_another_was_found(is_kept: bool) -> None:
    cache = Cache(MARKETS_MAX)
    cache.begin()
    key: Key = ("name", EXCHANGE, market(2).symbol)
    renamed = MarketChange(ChangeKind.CHANGED, market(2))
    with cache.asking(EXCHANGE) as asking:
        if is_kept:
            cache.keep(asking, key, market(1), [market(1)])
        cache.invalidate(renamed)
        if not is_kept:
            cache.keep(asking, key, market(1), [market(1)])
    assert cache.get(key) is None
