"""What the models and the alert service can complain about, besides the causal library.

::

    AnalyticsError(QdError)        root, with the library's errors: `qd_analytics.causal.errors`
     ├─ TradesRefused              trades no model must see (order, gap, NaN)
     ├─ BadModel                   a name, a setting or a model that cannot be used
     ├─ ModelFailed                a model failed at a market's trades
     ├─ PictureRefused             a picture of no form that there is
     └─ StateUnusable              a saved state that is damaged, or another model's
"""

from __future__ import annotations

from qd_analytics.causal.errors import AnalyticsError

__all__ = [
    "AnalyticsError",
    "BadModel",
    "ModelFailed",
    "PictureRefused",
    "StateUnusable",
    "TradesRefused",
]


class TradesRefused(AnalyticsError):
    """Trades that a model must not see: out of order, with a gap, or not finite."""


class BadModel(AnalyticsError):
    """A model that cannot be found, built or run as it was asked for."""


class ModelFailed(AnalyticsError):
    """A model failed at a market's trades: its rules or its code raised, or gave no answer."""


class PictureRefused(AnalyticsError):
    """A picture in a form that there is none of."""


class StateUnusable(AnalyticsError):
    """A saved state that is damaged, or that belongs to another model."""
