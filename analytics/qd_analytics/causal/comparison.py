"""Comparisons with a limit: rules that save as data, and that one call evaluates for many nodes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np


class Sign(Enum):
    """How a value is held against a limit."""

    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"

    @property
    def ufunc(self) -> Any:
        """The numpy function of value and limit."""
        return _UFUNCS[self]


_UFUNCS = {
    Sign.AT_LEAST: np.greater_equal,
    Sign.ABOVE: np.greater,
    Sign.AT_MOST: np.less_equal,
    Sign.BELOW: np.less,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """True where the value stands as `sign` says to the limit."""

    sign: Sign
    limit: float

    def __call__(self, value: Any) -> Any:
        """Compare one value, or an array of them."""
        return self.sign.ufunc(value, self.limit)
