"""A bar: open, high, low and close of the trades of a period so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Prices = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low and close.

    There is no volume: a sum of floats depends on how the trades were cut into arrays.
    """

    FIELDS: ClassVar = ("open", "high", "low", "close")

    open: float
    high: float
    low: float
    close: float

    @classmethod
    def of(cls, prices: Prices) -> Bar:
        """The bar of at least one price, in time order."""
        high, low = np.maximum.reduce(prices), np.minimum.reduce(prices)
        return cls(float(prices[0]), float(high), float(low), float(prices[-1]))

    def followed_by(self, later: Bar) -> Bar:
        """The bar of this period and the next."""
        return Bar(self.open, max(self.high, later.high), min(self.low, later.low), later.close)

    def data(self) -> dict[str, float]:
        """The bar as a data node's numbers."""
        return dict(zip(self.FIELDS, self.values(), strict=True))

    def values(self) -> tuple[float, float, float, float]:
        """Open, high, low, close."""
        return (self.open, self.high, self.low, self.close)
