"""A short soak with both clients; `python -m bench soak --minutes 10` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.driver import Plan, soak

pytestmark = pytest.mark.slow


def test_what_is_acknowledged_is_consumed(tmp_path: Path) -> None:
    plan = Plan(seconds=15, seed=7, partitions=1, calm_seconds=4)
    outcome = soak(plan, tmp_path)
    assert not outcome.verdict.faults, outcome.text(plan)
    assert outcome.kills["broker"]
    assert outcome.verdict.counts["acknowledged"]
