"""Models that watch markets: what one is, those that come with the system, and how to name one.

::

    protocol     what a model is to whoever runs it
    calendar     periods of the UTC calendar; bars     open, high, low, close
    rolling      the context of a market, which rolls by the calendar
    folding      plans of comparisons, folded for the levels that hold now
    periodic     models over such a context: what most are made of
    breakout     monthly, weekly, daily and yearly; volatility   the other kind
    loading      models by name, with their settings

Nothing here knows where trades come from or alerts go.
"""

from qd_analytics.models.bars import Bar
from qd_analytics.models.breakout import (
    BreakoutRule,
    breakout,
    daily_breakout,
    monthly_breakout,
    weekly_breakout,
    yearly_breakout,
)
from qd_analytics.models.calendar import Period
from qd_analytics.models.loading import Chosen, choose, choose_all
from qd_analytics.models.periodic import PeriodEvaluation, PeriodMarket, PeriodModel
from qd_analytics.models.protocol import FrameEvaluation, MarketModel, StreamModel
from qd_analytics.models.rolling import Lookback
from qd_analytics.models.volatility import volatility

__all__ = [
    "Bar",
    "BreakoutRule",
    "Chosen",
    "FrameEvaluation",
    "Lookback",
    "MarketModel",
    "Period",
    "PeriodEvaluation",
    "PeriodMarket",
    "PeriodModel",
    "StreamModel",
    "breakout",
    "choose",
    "choose_all",
    "daily_breakout",
    "monthly_breakout",
    "volatility",
    "weekly_breakout",
    "yearly_breakout",
]
