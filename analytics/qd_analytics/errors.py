"""What the models and the alert service can complain about, besides the causal library.

::

    AnalyticsError(QdError)        root, with the library's errors: `qd_analytics.causal.errors`
     └─ TradesRefused              trades the model must not see (order, gap, NaN)
"""

from __future__ import annotations

from qd_analytics.causal.errors import AnalyticsError

__all__ = ["AnalyticsError", "TradesRefused"]


class TradesRefused(AnalyticsError):
    """Trades that a model must not see: out of order, with a gap, or not finite."""
