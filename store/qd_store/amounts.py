"""Which prices and volumes a trade may have: values only."""

from __future__ import annotations

from typing import Final

# No sum or product of such amounts leaves the doubles, whatever a market holds: PostgreSQL
# refuses those that do, and one trade would keep all bars from being made.
AMOUNT_MAX: Final = 1e100
AMOUNT_MIN: Final = 1e-100
"""Of a price, and of a volume that is not zero."""
