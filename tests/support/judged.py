"""Models over trades, cut in any way: the answers and alerts as plain lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qd_analytics.market_run import Judged, MarketRun
from qd_analytics.models import choose
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert


@dataclass
class Answers:
    """What a model said of a stream."""

    states: list[int] = field(default_factory=list)
    alerts: list[BreakoutAlert] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """The alerts so that NaN equals itself."""
        return repr(self.alerts)

    @property
    def sequences(self) -> list[int]:
        return [alert.sequence for alert in self.alerts]

    @property
    def rises(self) -> list[tuple[int, int, float]]:
        return [(alert.sequence, alert.date_time, alert.price) for alert in self.alerts]

    def add(self, judged: Judged) -> None:
        assert not judged.failure, judged.failure
        self.states += judged.evaluation.states.tolist()
        self.alerts += judged.alerts


def a_run(model: str = "monthly-breakout", *settings: str) -> MarketRun:
    """A model's run over market 7 of exchange 1."""
    return MarketRun(choose(model, settings), 1, 7)


def in_arrays(
    rows: Rows,
    model: str = "monthly-breakout",
    *settings: str,
    cuts: Iterable[int] = (),
    explain: bool = False,
) -> Answers:
    """Evaluate a stream, cut at the given rows."""
    run, answers = a_run(model, *settings), Answers()
    for part in np.split(rows, sorted({min(cut, len(rows)) for cut in cuts})):
        if len(part):
            judged = run.evaluate(part)
            answers.add(judged)
            if explain:
                answers.explained += [judged.evaluation.explain(n) for n in range(len(part))]
    return answers


def one_by_one(rows: Rows, model: str = "monthly-breakout", *settings: str) -> Answers:
    """Evaluate a stream trade by trade."""
    run, answers = a_run(model, *settings), Answers()
    for trade in rows.tolist():
        state, alerts = run.evaluate_trade(*trade)
        answers.states.append(int(state))
        answers.alerts += alerts
    return answers


def restarted(
    rows: Rows, stops: Sequence[int], model: str = "monthly-breakout", *settings: str
) -> Answers:
    """Evaluate a stream by runs that are saved, forgotten and restored at the given rows."""
    answers = Answers()
    saved: dict[str, Any] | None = None
    for part in np.split(rows, sorted({min(stop, len(rows)) for stop in stops})):
        run = a_run(model, *settings)
        if saved is not None:
            run.restore(saved)
        if len(part):
            answers.add(run.evaluate(part))
        saved = json.loads(json.dumps(run.to_json(), allow_nan=False))
    return answers
