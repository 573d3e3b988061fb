"""Trackers and the ledger: what is published when, for all models of a market. No I/O."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics.errors import TradesRefused
from qd_analytics.ledger import AlertLedger
from qd_analytics.models import choose_all
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert
from support.tracked import (
    done,
    expected,
    infos,
    market,
    pending,
    published,
    sequences,
    tracker,
    watch,
)

TWO = choose_all("monthly-breakout; support.models:above_mean count=4")
FAILING = choose_all("support.failing:failing; monthly-breakout")


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


@settings(deadline=None)
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


@settings(deadline=None)
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


# Several models, some of which fail


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
