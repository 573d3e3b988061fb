"""Models that fail, each in its way."""

from __future__ import annotations

import math

import numpy as np

from qd_analytics import Model, Period, PeriodModel, Singleton
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
    def market(self, saved: object = None) -> AboveMeanMarket:
        return _TiringMarket(self.count, None)


def tiring() -> AboveMean:
    """Its own code raises after a thousand trades."""
    return _Tiring(5, id=1_600, name="tiring")
