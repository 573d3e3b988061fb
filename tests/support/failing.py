"""Models that fail, each in its way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qd_analytics import FromContext, Lookback, Model, Period, PeriodModel, Singleton
from qd_analytics.models import Bar
from qd_schemas.arrays import Rows
from support.models import AboveMean, AboveMeanMarket, Evaluated


def _root(price: float) -> bool:
    if price < 0:
        raise ValueError("square root of a negative price")
    return math.sqrt(price) > 0


def failing() -> PeriodModel:
    """True, until the price is negative."""
    rule = Singleton("root", _root, ("price",), "the price has a root", elementwise=False)
    return PeriodModel("failing", Model(1_500, rule), Period.DAY)


def _fallen(bars: Sequence[Bar], day_open: float) -> Mapping[str, float]:
    if day_open < 0:
        raise ArithmeticError("the day opens below nothing")
    return {"open before": bars[0].open}


def underivable() -> PeriodModel:
    """True while prices rise, until a day opens with a negative price."""
    before = FromContext("days before", "open before")
    rule = Singleton("risen", np.greater, ("price", before), "the price has risen")
    lookback = Lookback("days before", 1, _fallen)
    return PeriodModel("underivable", Model(1_501, rule), Period.DAY, (before,), lookback)


class _RaisingMarket(AboveMeanMarket):
    def evaluate(self, rows: Rows) -> Evaluated:
        raise ZeroDivisionError("division by zero")


class _Raising(AboveMean):
    def market(self, saved: object = None) -> AboveMeanMarket:
        return _RaisingMarket(1, None)


def raising() -> AboveMean:
    """Its own code raises."""
    return _Raising(1)


class _MisshapenMarket(AboveMeanMarket):
    def evaluate(self, rows: Rows) -> Evaluated:
        return Evaluated(np.ones(len(rows) - 1, dtype=np.uint8), [])


class _Misshapen(AboveMean):
    def market(self, saved: object = None) -> AboveMeanMarket:
        return _MisshapenMarket(1, None)


def misshapen() -> AboveMean:
    """It has one answer too few."""
    return _Misshapen(1)


class _TiringMarket(AboveMeanMarket):
    def evaluate(self, rows: Rows) -> Evaluated:
        if rows["sequence"][-1] > 1_000:
            raise RuntimeError("this model is tired")
        return super().evaluate(rows)


class _Tiring(AboveMean):
    def market(self, saved: Mapping[str, Any] | None = None) -> AboveMeanMarket:
        return _TiringMarket(self.count, saved)


def tiring() -> AboveMean:
    """Its own code raises after a thousand trades."""
    return _Tiring(5, id=1_600, name="tiring")
