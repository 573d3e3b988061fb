"""Chaos while twenty clients replay; ``QD_CHAOS_SECONDS=600`` is the long one.

``QD_CHAOS_SEED`` and ``QD_CHAOS_PROCESSES`` vary it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from qd_schemas.arrays import TRADE, Rows
from qd_schemas.enums import Resolution
from soak.chaos import Plan, chaos, judged
from soak.replayer import DONE, LOST, WRONG
from soak.replays import first_wrong, wanted
from support.markets import generated

SECONDS = float(os.environ.get("QD_CHAOS_SECONDS", "10"))
SEED = int(os.environ.get("QD_CHAOS_SEED", "6"))
PROCESSES = int(os.environ.get("QD_CHAOS_PROCESSES", "4"))
ROWS = generated(1, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_each_client_gets_what_it_asked_for(tmp_path: Path) -> None:
    plan = Plan(SECONDS, SEED, processes=PROCESSES, calm_seconds=max(6.0, SECONDS / 40))
    outcome = chaos(plan, tmp_path)
    print(outcome.text(plan))
    assert not outcome.faults, outcome.text(plan)
    assert outcome.counts["rounds"] >= plan.clients


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        (ROWS, None),
        (ROWS[:-1], 999),
        (ROWS[1:], 0),
        (np.concatenate([ROWS, ROWS[-1:]]), 1_000),
        (np.concatenate([ROWS[:500], ROWS[499:]]), 500),
        (np.concatenate([ROWS[:500], ROWS[501:]]), 500),
        (ROWS[:0], 0),
    ],
)
def test_a_wrong_row_is_found(changed: Rows, place: int | None) -> None:
    assert first_wrong(changed, ROWS) == place
    assert first_wrong(np.zeros(0, TRADE), ROWS[:0]) is None


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        ({DONE: 2, LOST: 9}, 0),
        ({DONE: 2, WRONG: 1}, 1),
        ({LOST: 1}, 1),
        ({}, 1),
    ],
)
def test_a_client_that_did_nothing_or_wrong_is_found(words: dict[str, int], faults: int) -> None:
    assert len(list(judged(3, Counter(words)))) == faults


def test_rounds_ask_for_what_is_there() -> None:
    """Any round's range has rows, and its end in time parts no rows of one time."""
    rowsets = {("ONE", Resolution.NONE): ROWS, ("ONE", Resolution.M1): ROWS[:10]}
    rowsets |= {("ONE", one): ROWS[:10] for one in (Resolution.M5, Resolution.H1)}
    for number in range(300):
        asked = wanted(1, 2, number, rowsets)
        whole = rowsets[asked.symbol, asked.resolution]
        end = asked.end(rowsets)
        until = len(whole) if end is None else int(np.sum(whole["time"] < end))
        assert len(asked.rows(rowsets)) == until - asked.first > 1
        assert asked.pace(rowsets) >= 0
