"""The watch: which markets run when, and from where after any restart. No I/O."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics.backoff import Backoff
from qd_analytics.checkpoints import CheckpointLog, Written
from qd_analytics.errors import TradesRefused
from qd_analytics.ledger import AlertLedger
from qd_analytics.models import choose_all
from qd_analytics.tracker import MarketTracker
from qd_analytics.watch import Watch
from qd_schemas.messages import BreakoutAlert
from support.tracked import (
    MONTHLY,
    Info,
    Watching,
    checkpoint,
    done,
    expected,
    infos,
    market,
    names,
    pending,
    published,
    tracker,
    watch,
)

TWO = choose_all("monthly-breakout; support.models:above_mean count=4")


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


@settings(deadline=None)
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


# Checkpoints


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.data())
def test_a_topic_made_anew_is_filled_whatever_dies_then(data: st.DataObject) -> None:
    """The alerts topic is deleted at any time; its checkpoints never count for the new one."""
    rows = market(2, 150)
    listed = [Info(1, len(rows)), Info(2, len(rows))]
    topic: list[BreakoutAlert] = []
    state: list[Written] = []
    lives = data.draw(st.integers(1, 5))
    for life in range(lives):
        watched = Watching(MONTHLY, (), 4, random.Random(1))
        log = CheckpointLog()
        for record in state:
            log.add(record)
        watched.restore(log)
        for session in range(sessions := data.draw(st.integers(1, 3))):
            is_last = (life, session) == (lives - 1, sessions - 1)
            state += learn(watched, topic)
            for run in watched.due_of(listed, 0.0):
                first = run.next_sequence - 1
                if not first and not watched.ledger.is_whole:
                    for alert in topic:
                        watched.ledger.add(alert)
                    watched.ledger.read_all_before()
                stop = len(rows) if is_last else data.draw(st.integers(first, len(rows)))
                run.accept(rows[first:stop])
                topic += pending(run)
                published(run)
                if data.draw(st.booleans()):
                    state += checkpoint(run, watched.checkpoints, watched.ledger.end_least)
            if not is_last and data.draw(st.booleans()):
                topic.clear()
    for symbol_id in (1, 2):
        told = [alert.sequence for alert in topic if alert.symbol_id == symbol_id]
        assert sorted(told) == expected(rows)


def learn(watched: Watch, topic: list[BreakoutAlert]) -> list[Written]:
    """What a session does first; gives the checkpoints' records that it writes."""
    records: list[Written] = []
    if len(topic) < watched.ledger.end_least:
        records = watched.checkpoints.revocations()
        for record in records:
            watched.checkpoints.add(record)
        watched.forget()
    for alert in topic[watched.ledger.since :]:
        watched.ledger.add(alert)
    watched.ledger.read_up_to(len(topic))
    watched.begin()
    return records


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
    watched = watch(at_once=2)
    assert watched.next_try(0.0) is None
    first, second = watched.due_of(infos(5, 5, 5), 0.0)
    later = 10.0 + watched.failed(first, 10.0, rebuild=False)
    sooner = 9.0 + watched.failed(second, 9.0, rebuild=False)
    assert watched.next_try(9.0) == min(later, sooner)
    assert watched.next_try(20.0) is None, "they wait for a place, not for a time"
