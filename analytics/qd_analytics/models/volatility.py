"""The volatility model: after calm days, the price moves more than days have of late.

Days have a true range: from the lowest to the highest price, the close before included. The
model wants the last days calmer than the longer run, and the price beyond the day's open by a
multiple of their mean range (a volatility breakout, as Williams describes it).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Mapping, Sequence

from qd_analytics.causal.causaloid import Singleton
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromContext
from qd_analytics.causal.model import Model
from qd_analytics.errors import BadModel
from qd_analytics.models.bars import Bar
from qd_analytics.models.calendar import Period
from qd_analytics.models.periodic import PeriodModel
from qd_analytics.models.protocol import VOLATILITY_ID
from qd_analytics.models.rolling import PERIODS_KEPT, Lookback


def volatility(days: int = 20, calm_days: int = 5, times: float = 1.0) -> PeriodModel:
    """After calm days, the price rises by more than these days' mean range since the open.

    Parameters
    ----------
    days : int
        How many days with trades are the longer run.
    calm_days : int
        How many of them are the last days, which must have been calmer.
    times : float
        How many mean ranges the price must rise.
    """
    if not 1 <= calm_days < days < PERIODS_KEPT:
        raise BadModel(
            f"calm_days is {calm_days} and days is {days}; expected 1 <= calm_days < days "
            f"and fewer than {PERIODS_KEPT} days"
        )
    if not (times > 0 and math.isfinite(times)):
        raise BadModel(f"times is {times}; expected a finite number above 0")
    calm, mean, limit = (
        FromContext("recent days", name) for name in ("calm reach", "mean reach", "limit")
    )
    graph = Graph("volatility", "the price leaves calm days behind")
    graph.add(
        Singleton("calm", operator.lt, (calm, mean), f"the last {calm_days} days were calm"),
        Singleton(
            "moved",
            operator.gt,
            ("price", limit),
            f"price is {times:g} mean ranges of these days above the day's open",
        ),
    )
    graph.connect("calm", "moved")
    graph.freeze()
    model = Model(
        VOLATILITY_ID,
        graph,
        author="qd",
        description="A trade breaks out when the last days were calm and the price moves.",
    )
    # One bar more than ranges: the oldest day's range needs the close before it.
    derive = functools.partial(_reaches, calm_days=calm_days, times=times)
    levels = (FromContext(Period.DAY.current, "open"), calm, mean, limit)
    lookback = Lookback("recent days", days + 1, derive)
    return PeriodModel("volatility", model, Period.DAY, levels, lookback)


def _reaches(
    bars: Sequence[Bar], day_open: float, calm_days: int, times: float
) -> Mapping[str, float]:
    """How far mean true ranges reach from the day's open: of the last days, and of all.

    They are prices, like all levels, so that pictures can show them.
    """
    ranges = [
        max(bar.high, before.close) - min(bar.low, before.close)
        for before, bar in itertools.pairwise(bars)
    ]
    calm = math.fsum(ranges[-calm_days:]) / calm_days
    return {
        "calm reach": day_open + calm,
        "mean reach": day_open + math.fsum(ranges) / len(ranges),
        "limit": day_open + times * calm,
    }
