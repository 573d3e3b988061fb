"""Trackers, the ledger and the watch: what is published when, after any restart. No I/O."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_analytics.backoff import Backoff
from qd_analytics.errors import TradesRefused
from qd_analytics.ledger import AlertLedger
from qd_analytics.tracker import MarketTracker
from qd_analytics.watch import Watch
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert
from qd_schemas.specs import AnalyticsSettings
from support.reference import rises
from support.trades import as_trades, trade_rows


def market(seed: int, trades: int = 400) -> Rows:
    """A random walk over some months, with many rises."""
    chance = np.random.default_rng(seed)
    times = np.datetime64("2023-10-20", "us").astype(np.int64) + np.sort(
        chance.integers(0, 200 * 86_400, trades) * 1_000_000
    )
    return trade_rows(times.tolist(), (100 + np.cumsum(chance.normal(0.05, 1, trades))).tolist())


def tracker(ledger: AlertLedger, symbol_id: int = 1) -> MarketTracker:
    return MarketTracker(1, symbol_id, f"M{symbol_id}", ledger)


def sequences(alerts: Iterable[BreakoutAlert]) -> list[int]:
    return [alert.sequence for alert in alerts]


def expected(rows: Rows) -> list[int]:
    return [sequence for sequence, _, _ in rises(as_trades(rows))]


# A market's run


def test_alerts_stay_pending_until_published() -> None:
    rows, ledger = market(1), AlertLedger()
    run = tracker(ledger)
    assert run.accept(rows) == len(expected(rows)) > 3
    assert sequences(run.pending) == expected(rows)
    first = run.pending[0]
    run.published(1)
    assert first in ledger
    assert run.pending[0] not in ledger
    run.published(len(run.pending))
    assert not run.pending
    assert run.next_sequence == len(rows) + 1


@given(st.integers(0, 5), st.data())
def test_a_crash_anywhere_repeats_and_loses_nothing(seed: int, data: st.DataObject) -> None:
    """Runs that die at any point, after writing any part of what they wanted to write."""
    rows = market(seed, 150)
    topic: list[BreakoutAlert] = []
    for _ in range(data.draw(st.integers(0, 4))):
        run = tracker(read_back(topic))
        stop = data.draw(st.integers(0, len(rows)))
        for part in np.array_split(rows[:stop], 3):
            run.accept(part)
            written = data.draw(st.integers(0, len(run.pending)))
            topic += run.pending[:written]
            run.published(written)
    run = tracker(read_back(topic))
    run.accept(rows)
    topic += run.pending
    assert sorted(sequences(topic)) == expected(rows)


@given(st.integers(0, 5), st.integers(0, 30))
def test_reconciling_drops_what_arrived_without_an_answer(seed: int, written: int) -> None:
    run = tracker(AlertLedger())
    run.accept(market(seed))
    wanted = list(run.pending)
    run.reconcile(read_back(wanted[:written]))
    assert run.pending == wanted[written:]


def read_back(topic: list[BreakoutAlert]) -> AlertLedger:
    ledger = AlertLedger()
    for alert in topic:
        ledger.add(alert)
    return ledger


@pytest.mark.parametrize(
    "rows",
    [market(1)[1:], market(1)[[0, 1, 3]], market(1)[[0, 1, 1]]],
    ids=["from the second", "a gap", "twice"],
)
def test_gaps_are_refused(rows: Rows) -> None:
    run = tracker(AlertLedger())
    with pytest.raises(TradesRefused, match=r"M1: .* expected them from 1 without a gap"):
        run.accept(rows)
    assert run.processed == 0
    run.accept(market(1))
    assert run.processed == len(market(1))


def test_ledger_tells_models_markets_and_trades_apart() -> None:
    run = tracker(AlertLedger(), symbol_id=3)
    run.accept(market(1))
    ledger = read_back([*run.pending, *reversed(run.pending)])
    assert len(ledger) == len(run.pending)
    assert all(alert in ledger for alert in run.pending)
    other = tracker(ledger, symbol_id=4)
    assert other.accept(market(1)) == len(other.pending) > 0


# Which markets run


@dataclass(frozen=True)
class Info:
    symbol_id: int
    trades: int
    symbol: str = ""
    exchange_id: int = 1


def watch(**settings: object) -> Watch:
    env = {"QD_FLUVIO": "h:1", "QD_SYMDB": "h:1", **{k: str(v) for k, v in settings.items()}}
    return Watch(AnalyticsSettings.from_env(env), random.Random(1))


def infos(*trades: int) -> list[Info]:
    return [Info(n, count, f"M{n}") for n, count in enumerate(trades, 1)]


def names(due: list[MarketTracker]) -> list[str]:
    return [run.symbol for run in due]


def test_a_few_markets_run_at_once() -> None:
    watched = watch(QD_MARKETS_AT_ONCE=2)
    listed = infos(5, 0, 5, 5)
    first, second = watched.due(listed, 0.0)
    assert names([first, second]) == ["M1", "M3"], "M2 has no trades"
    assert watched.due(listed, 0.0) == []
    first.accept(market(1)[:5])
    watched.finished(first)
    assert names(watched.due(listed, 0.0)) == ["M4"]


def test_only_watched_symbols_run() -> None:
    assert names(watch(QD_WATCH="M2,M9").due(infos(5, 5, 5), 0.0)) == ["M2"]


def test_new_trades_make_a_market_due_again() -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    run.accept(market(1)[:5])
    watched.finished(run)
    assert watched.due(infos(5), 1.0) == []
    assert watched.due(infos(6), 2.0) == [run]


def test_a_market_that_failed_waits_and_goes_on_where_it_was() -> None:
    watched = watch()
    (run,) = watched.due(infos(9), 0.0)
    run.accept(market(1)[:5])
    delay = watched.failed(run, 10.0, rebuild=False)
    assert watched.due(infos(9), 10.0 + delay / 2) == []
    assert watched.due(infos(9), 10.0 + delay) == [run]
    assert run.next_sequence == 6


def test_a_market_whose_context_is_in_doubt_begins_again() -> None:
    watched = watch()
    (run,) = watched.due(infos(9), 0.0)
    run.accept(market(1)[:5])
    watched.failed(run, 0.0, rebuild=True)
    (again,) = watched.due(infos(9), 100.0)
    assert again.next_sequence == 1


def test_trades_imported_after_the_list_was_made_are_no_other_database() -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    run.accept(market(1)[:7])
    watched.finished(run)
    assert watched.due(infos(5), 1.0) == [], "the list is older than the stream"
    assert watched.due(infos(7), 2.0) == []
    assert watched.due(infos(8), 3.0) == [run]


@pytest.mark.parametrize("listed", [[Info(1, 3, "M1")], [Info(1, 9, "OTHER")]])
def test_another_database_begins_again(listed: list[Info]) -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    run.accept(market(1)[:5])
    watched.finished(run)
    (again,) = watched.due(listed, 1.0)
    assert (again.symbol, again.next_sequence) == (listed[0].symbol, 1)


def test_another_database_is_noticed_after_a_run() -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    assert watched.due(infos(3), 1.0) == [], "it runs"
    run.accept(market(1)[:5])
    watched.finished(run)
    (again,) = watched.due(infos(3), 2.0)
    assert again.next_sequence == 1


def test_pending_alerts_make_a_market_due() -> None:
    watched = watch()
    rows = market(1)
    (run,) = watched.due(infos(len(rows)), 0.0)
    run.accept(rows)
    watched.begin()
    assert watched.due(infos(len(rows)), 1.0) == [run]


def test_a_new_topic_is_filled_again() -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    run.accept(market(1)[:5])
    watched.finished(run)
    watched.forget()
    (again,) = watched.due(infos(5), 1.0)
    assert again.next_sequence == 1


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_delays_grow_to_a_limit(seed: int, tries: int) -> None:
    backoff = Backoff(random.Random(seed), first_seconds=1.0, seconds_max=8.0)
    for attempt in range(tries):
        full = min(2.0**attempt, 8.0)
        assert full / 2 <= backoff.seconds() <= full
    backoff.reset()
    assert backoff.seconds() <= 1.0


def test_a_new_session_runs_what_the_last_one_left_unfinished() -> None:
    watched = watch()
    (run,) = watched.due(infos(9), 0.0)
    assert watched.due(infos(9), 0.0) == []
    watched.begin()
    assert watched.due(infos(9), 0.0) == [run]


def test_a_market_is_due_until_its_progress_is_told() -> None:
    watched = watch()
    (run,) = watched.due(infos(5), 0.0)
    run.accept(market(1)[:5])
    watched.begin()
    assert watched.due(infos(5), 1.0) == [run], "evaluated, but nobody was told"
    assert (run.progress().sequence, run.progress().symbol_id) == (5, 1)
    watched.finished(run)
    assert watched.due(infos(5), 2.0) == []
