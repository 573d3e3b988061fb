"""The breakout models: the price leaves the range of the period before, upwards.

Four rules, each a causaloid of its own, so that `explain` names the one that failed.
"""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import Final

from qd_analytics.causal.causaloid import Singleton
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromContext
from qd_analytics.causal.model import Model
from qd_analytics.models.calendar import Period
from qd_analytics.models.periodic import PeriodModel
from qd_analytics.models.protocol import DAILY_BREAKOUT_ID, YEARLY_BREAKOUT_ID
from qd_schemas.enums import ModelId


class BreakoutRule(IntEnum):
    """The four rules, in their order."""

    PREVIOUS_ROSE = 1
    ABOVE_PREVIOUS_CLOSE = 2
    ABOVE_CURRENT_OPEN = 3
    ABOVE_PREVIOUS_HIGH = 4


_MODEL_IDS: Final[dict[Period, int]] = {
    Period.MONTH: ModelId.MONTHLY_BREAKOUT,
    Period.WEEK: ModelId.WEEKLY_BREAKOUT,
    Period.DAY: DAILY_BREAKOUT_ID,
    Period.YEAR: YEARLY_BREAKOUT_ID,
}
_ADVERBS: Final = {
    Period.MONTH: "monthly",
    Period.WEEK: "weekly",
    Period.DAY: "daily",
    Period.YEAR: "yearly",
}


def monthly_breakout() -> PeriodModel:
    """The price breaks out of the previous calendar month's range."""
    return breakout(Period.MONTH)


def weekly_breakout() -> PeriodModel:
    """The price breaks out of the previous ISO week's range."""
    return breakout(Period.WEEK)


def daily_breakout() -> PeriodModel:
    """The price breaks out of the previous day's range."""
    return breakout(Period.DAY)


def yearly_breakout() -> PeriodModel:
    """The price breaks out of the previous year's range."""
    return breakout(Period.YEAR)


def breakout(period: Period) -> PeriodModel:
    """The price breaks out of the range of the period before.

    Parameters
    ----------
    period : Period
        Month, as the original has it, or another.
    """
    before = {field: FromContext(period.previous, field) for field in ("open", "high", "close")}
    current_open = FromContext(period.current, "open")
    name = f"{_ADVERBS[period]}-breakout"
    model = Model(
        _MODEL_IDS[period],
        _rules(name, period.value, before, current_open),
        author="qd",
        description="A trade breaks out when all four rules hold at once.",
    )
    levels = (before["open"], before["high"], before["close"], current_open)
    return PeriodModel(name, model, period, levels)


def _rules(
    name: str, period: str, before: dict[str, FromContext], current_open: FromContext
) -> Graph:
    rule = BreakoutRule
    previous_close, above = before["close"], operator.gt
    graph = Graph(name, f"the price breaks out of the previous {period}'s range")
    graph.add(
        Singleton(
            rule.PREVIOUS_ROSE.value,
            above,
            (previous_close, before["open"]),
            f"previous {period} closed above its open",
        ),
        Singleton(
            rule.ABOVE_PREVIOUS_CLOSE.value,
            above,
            ("price", previous_close),
            f"price is above the previous {period}'s close",
        ),
        Singleton(
            rule.ABOVE_CURRENT_OPEN.value,
            above,
            ("price", current_open),
            f"price is above the current {period}'s open",
        ),
        Singleton(
            rule.ABOVE_PREVIOUS_HIGH.value,
            above,
            ("price", before["high"]),
            f"price is above the previous {period}'s high",
        ),
    )
    graph.connect(rule.PREVIOUS_ROSE.value, rule.ABOVE_PREVIOUS_CLOSE.value)
    graph.connect(rule.PREVIOUS_ROSE.value, rule.ABOVE_CURRENT_OPEN.value)
    graph.connect(rule.ABOVE_PREVIOUS_CLOSE.value, rule.ABOVE_PREVIOUS_HIGH.value)
    graph.freeze()
    return graph
