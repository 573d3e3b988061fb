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
from qd_analytics.checkpoints import Checkpoint, CheckpointLog, written
from qd_analytics.errors import TradesRefused
from qd_analytics.ledger import AlertLedger
from qd_analytics.models import Chosen, choose_all
from qd_analytics.tracker import Market, MarketTracker
from qd_analytics.watch import Watch
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert
from support.reference import rises
from support.trades import as_trades, trade_rows


def market(seed: int, trades: int = 400) -> Rows:
    """A random walk over some months, with many rises."""
    chance = np.random.default_rng(seed)
    times = np.datetime64("2023-10-20", "us").astype(np.int64) + np.sort(
        chance.integers(0, 200 * 86_400, trades) * 1_000_000
    )
    return trade_rows(times.tolist(), (100 + np.cumsum(chance.normal(0.05, 1, trades))).tolist())


MONTHLY = choose_all("monthly-breakout")


def tracker(
    ledger: AlertLedger, symbol_id: int = 1, models: tuple[Chosen, ...] = MONTHLY
) -> MarketTracker:
    return MarketTracker(Market(1, symbol_id, f"M{symbol_id}"), models, ledger)


def pending(run: MarketTracker) -> list[BreakoutAlert]:
    return [alert for model in run.models for alert in model.pending]


def published(run: MarketTracker, count: int | None = None) -> None:
    """The first pending alerts of the only model are on the topic; all without a count."""
    (model,) = run.models
    model.published(len(model.pending) if count is None else count)


def sequences(alerts: Iterable[BreakoutAlert]) -> list[int]:
    return [alert.sequence for alert in alerts]


def expected(rows: Rows) -> list[int]:
    return [sequence for sequence, _, _ in rises(as_trades(rows))]


# A market's run


def test_alerts_stay_pending_until_published() -> None:
    rows, ledger = market(1), AlertLedger()
    run = tracker(ledger)
    assert run.accept(rows) == len(expected(rows)) > 3
    assert sequences(pending(run)) == expected(rows)
    first = pending(run)[0]
    published(run, 1)
    assert first in ledger
    assert pending(run)[0] not in ledger
    published(run)
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
            written = data.draw(st.integers(0, run.pending))
            topic += pending(run)[:written]
            published(run, written)
    run = tracker(read_back(topic))
    run.accept(rows)
    topic += pending(run)
    assert sorted(sequences(topic)) == expected(rows)


@given(st.integers(0, 5), st.integers(0, 30))
def test_reconciling_drops_what_arrived_without_an_answer(seed: int, written: int) -> None:
    run = tracker(AlertLedger())
    run.accept(market(seed))
    wanted = pending(run)
    run.reconcile(read_back(wanted[:written]))
    assert pending(run) == wanted[written:]


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
    ledger = read_back([*pending(run), *reversed(pending(run))])
    assert len(ledger) == run.pending
    assert all(alert in ledger for alert in pending(run))
    other = tracker(ledger, symbol_id=4)
    assert other.accept(market(1)) == other.pending > 0


# Which markets run


@dataclass(frozen=True)
class Info:
    symbol_id: int
    trades: int
    symbol: str = ""
    exchange_id: int = 1


class Watching(Watch):
    """A watch that is told of all markets at once."""

    def due_of(self, listed: Iterable[Info], now: float) -> list[MarketTracker]:
        for info in listed:
            self.changed(info)
        return self.due(now)


def watch(symbols: tuple[str, ...] = (), at_once: int = 4, models: str = "") -> Watching:
    chosen = choose_all(models or "monthly-breakout")
    return Watching(chosen, symbols, at_once, random.Random(1))


def done(watched: Watch, run: MarketTracker) -> None:
    """The run came to its end, and its progress is told."""
    for model in run.models:
        model.told = model.processed
    watched.finished(run)


def infos(*trades: int) -> list[Info]:
    return [Info(n, count, f"M{n}") for n, count in enumerate(trades, 1)]


def names(due: list[MarketTracker]) -> list[str]:
    return [run.market.symbol for run in due]


def test_a_few_markets_run_at_once() -> None:
    watched = watch(at_once=2)
    listed = infos(5, 0, 5, 5)
    first, second = watched.due_of(listed, 0.0)
    assert names([first, second]) == ["M1", "M3"], "M2 has no trades"
    assert watched.due_of(listed, 0.0) == []
    first.accept(market(1)[:5])
    done(watched, first)
    assert names(watched.due_of(listed, 0.0)) == ["M4"]


def test_only_watched_symbols_run() -> None:
    assert names(watch(("M2", "M9")).due_of(infos(5, 5, 5), 0.0)) == ["M2"]


def test_new_trades_make_a_market_due_again() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    run.accept(market(1)[:5])
    done(watched, run)
    assert watched.due_of(infos(5), 1.0) == []
    assert watched.due_of(infos(6), 2.0) == [run]


def test_a_market_that_failed_waits_and_goes_on_where_it_was() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(9), 0.0)
    run.accept(market(1)[:5])
    delay = watched.failed(run, 10.0, rebuild=False)
    assert watched.due_of(infos(9), 10.0 + delay / 2) == []
    assert watched.due_of(infos(9), 10.0 + delay) == [run]
    assert run.next_sequence == 6


def test_a_market_whose_context_is_in_doubt_begins_again() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(9), 0.0)
    run.accept(market(1)[:5])
    watched.failed(run, 0.0, rebuild=True)
    (again,) = watched.due_of(infos(9), 100.0)
    assert again.next_sequence == 1


def test_trades_imported_after_the_list_was_made_are_no_other_database() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    run.accept(market(1)[:7])
    done(watched, run)
    assert watched.due_of(infos(5), 1.0) == [], "the list is older than the stream"
    assert watched.due_of(infos(7), 2.0) == []
    assert watched.due_of(infos(8), 3.0) == [run]


@pytest.mark.parametrize("listed", [[Info(1, 3, "M1")], [Info(1, 9, "OTHER")]])
def test_another_database_begins_again(listed: list[Info]) -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    run.accept(market(1)[:5])
    done(watched, run)
    (again,) = watched.due_of(listed, 1.0)
    assert (again.market.symbol, again.next_sequence) == (listed[0].symbol, 1)


def test_another_database_is_noticed_after_a_run() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    assert watched.due_of(infos(3), 1.0) == [], "it runs"
    run.accept(market(1)[:5])
    done(watched, run)
    (again,) = watched.due_of(infos(3), 2.0)
    assert again.next_sequence == 1


def test_pending_alerts_make_a_market_due() -> None:
    watched = watch()
    rows = market(1)
    (run,) = watched.due_of(infos(len(rows)), 0.0)
    run.accept(rows)
    watched.begin()
    assert watched.due_of(infos(len(rows)), 1.0) == [run]


def test_a_new_topic_is_filled_again() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    run.accept(market(1)[:5])
    done(watched, run)
    watched.forget()
    (again,) = watched.due_of(infos(5), 1.0)
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
    (run,) = watched.due_of(infos(9), 0.0)
    assert watched.due_of(infos(9), 0.0) == []
    watched.begin()
    assert watched.due_of(infos(9), 0.0) == [run]


def test_a_market_is_due_until_its_progress_is_told() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(5), 0.0)
    run.accept(market(1)[:5])
    watched.begin()
    assert watched.due_of(infos(5), 1.0) == [run], "evaluated, but nobody was told"
    assert run.models[0].progress().sequence == 5
    done(watched, run)
    assert watched.due_of(infos(5), 2.0) == []


# Several models, some of which fail


TWO = choose_all("monthly-breakout; support.models:above_mean count=4")
FAILING = choose_all("support.failing:failing; monthly-breakout")


def test_models_of_a_market_say_what_each_says_alone() -> None:
    rows, ledger = market(1), AlertLedger()
    run = tracker(ledger, models=TWO)
    for part in np.array_split(rows, 7):
        run.accept(part)
    for model, chosen in zip(run.models, TWO, strict=True):
        alone = tracker(AlertLedger(), models=(chosen,))
        alone.accept(rows)
        assert repr(model.pending) == repr(pending(alone))
        assert model.pending


def test_a_model_that_fails_ends_and_the_others_go_on() -> None:
    rows = market(1)
    rows["price"][200:] *= -1
    run = tracker(AlertLedger(), models=FAILING)
    for part in np.array_split(rows, 9):
        run.accept(part)
    failed, well = run.models
    assert [message.partition(":")[0] for message in run.failures] == [
        "model failing has no answer to trade 201"
    ]
    assert (failed.failure, well.processed) == (run.failures[0], len(rows))
    assert [model.chosen.model.name for model in run.live] == ["monthly-breakout"]
    assert len(failed.pending) == 1, "the rise before it is told"


def test_a_market_whose_models_have_all_ended_is_not_due() -> None:
    rows = market(1, 10)
    rows["price"] *= -1
    watched = watch(models="support.failing:failing")
    (run,) = watched.due_of(infos(10), 0.0)
    run.accept(rows)
    done(watched, run)
    assert watched.due_of(infos(20), 1.0) == []


def test_models_at_different_places_share_a_stream() -> None:
    rows = market(1)
    ahead = tracker(AlertLedger(), models=TWO[:1])
    ahead.accept(rows[:300])
    run = tracker(AlertLedger(), models=TWO)
    run.models[0].restore(ahead.models[0].state())
    assert run.next_sequence == 1
    for part in np.array_split(rows, 7):
        run.accept(part)
    whole = tracker(AlertLedger(), models=TWO)
    whole.accept(rows)
    assert run.models[1].pending == whole.models[1].pending
    late = [alert for alert in whole.models[0].pending if alert.sequence > 300]
    assert run.models[0].pending == late


# Checkpoints


def checkpoint(run: MarketTracker, log: CheckpointLog, end: int = 0) -> None:
    for model in run.models:
        saved = Checkpoint(
            model.pair,
            run.market.symbol,
            log.revision(model.pair),
            model.mark_now(end),
            model.state(),
        )
        log.add(written(saved))
        model.saved = model.processed


@given(st.integers(0, 5), st.data())
def test_crashes_between_publishing_and_saving_repeat_and_lose_nothing(
    seed: int, data: st.DataObject
) -> None:
    """Processes that die anywhere, and read back only what their checkpoints need."""
    rows = market(seed, 150)
    topic: list[BreakoutAlert] = []
    log = CheckpointLog()
    for last in [*[False] * data.draw(st.integers(0, 4)), True]:
        watched = Watching(TWO, (), 4, random.Random(1))
        watched.restore(log)
        for alert in topic[watched.ledger.since :]:
            watched.ledger.add(alert)
        watched.ledger.read_up_to(len(topic))
        (run,) = watched.due_of(infos(len(rows)), 0.0)
        if any(model.is_fresh for model in run.models) and not watched.ledger.is_whole:
            for alert in topic:
                watched.ledger.add(alert)
            watched.ledger.read_all_before()
        first = run.next_sequence - 1
        stop = len(rows) if last else data.draw(st.integers(first, len(rows)))
        for part in np.array_split(rows[first:stop], 3):
            run.accept(part)
            for model in run.models:
                count = len(model.pending)
                count = count if last else data.draw(st.integers(0, count))
                topic += model.pending[:count]
                model.published(count)
            if not run.pending and data.draw(st.booleans()):
                checkpoint(run, log, watched.ledger.end_least)
    keys = [(alert.model_id, alert.sequence) for alert in topic]
    whole = tracker(AlertLedger(), models=TWO)
    whole.accept(rows)
    wanted = [(alert.model_id, alert.sequence) for alert in pending(whole)]
    assert sorted(keys) == sorted(wanted)


def restored(run: MarketTracker, listed: Info) -> MarketTracker:
    """What a new process makes of a run's checkpoint for a market as it is listed."""
    log = CheckpointLog()
    checkpoint(run, log)
    watched = watch()
    watched.restore(log)
    (again,) = watched.due_of([listed], 0.0)
    return again


def evaluated(count: int) -> MarketTracker:
    run = tracker(AlertLedger())
    run.accept(market(1)[:count])
    published(run)
    return run


def test_a_restart_asks_for_the_last_trade_again_to_know_it_by() -> None:
    again = restored(evaluated(100), Info(1, 400, "M1"))
    assert (again.processed, again.next_sequence) == (100, 100)
    again.accept(market(1)[99:])
    assert again.next_sequence == 401
    whole = evaluated(0)
    whole.accept(market(1))
    assert pending(again) == [alert for alert in pending(whole) if alert.sequence > 100]


@pytest.mark.parametrize("column", ["time", "price"])
def test_another_database_is_noticed_at_that_trade(column: str) -> None:
    again = restored(evaluated(100), Info(1, 400, "M1"))
    rows = market(1)[99:]
    rows[column][0] -= 1
    with pytest.raises(TradesRefused, match="trade 100 is not the one that it was"):
        again.accept(rows)


@pytest.mark.parametrize("listed", [Info(1, 99, "M1"), Info(1, 400, "OTHER")])
def test_a_checkpoint_of_another_market_is_not_used(listed: Info) -> None:
    assert restored(evaluated(100), listed).next_sequence == 1


def test_a_checkpoint_of_other_settings_is_not_used() -> None:
    log = CheckpointLog()
    checkpoint(tracker(AlertLedger(), models=choose_all("volatility days=9")), log)
    watched = watch(models="volatility days=8")
    watched.restore(log)
    (run,) = watched.due_of(infos(5), 0.0)
    assert run.next_sequence == 1


def test_what_is_pending_is_not_saved() -> None:
    watched = watch()
    (run,) = watched.due_of(infos(400), 0.0)
    run.accept(market(1))
    assert run.pending
    assert watched.unsaved() == []
    published(run)
    assert watched.unsaved() == run.models
    run.models[0].saved = 400
    assert watched.unsaved() == []


def test_lags_are_told_by_market() -> None:
    watched = watch(at_once=1)
    (run,) = watched.due_of(infos(400, 7), 0.0)
    run.accept(market(1)[:300])
    assert watched.lags() == [("M1", 100)]


def test_a_market_that_is_removed_is_not_due() -> None:
    watched = watch()
    watched.changed(Info(1, 5, "M1"))
    watched.removed(Info(1, 5, "M1"))
    assert watched.due(0.0) == []


def test_a_market_that_takes_another_name_is_watched_by_that() -> None:
    watched = watch(("M1",))
    watched.changed(Info(1, 5, "M1"))
    watched.changed(Info(1, 5, "M2"))
    assert watched.due(0.0) == []


def test_the_next_try_is_that_of_the_market_that_waits_least() -> None:
    watched = watch()
    assert watched.next_try() is None
    first, second = watched.due_of(infos(5, 5), 0.0)
    later = watched.failed(first, 10.0, rebuild=False)
    sooner = watched.failed(second, 9.0, rebuild=False)
    assert watched.next_try() == min(10.0 + later, 9.0 + sooner)
