"""Single values of a saved model: what is not of its kind is refused, not taken for another."""

from __future__ import annotations

from typing import Any

from qd_analytics.causal.errors import SavedModelError
from qd_analytics.causal.inputs import Key


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _not(value, "a text")
    return value


def whole(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _not(value, "a whole number")
    return value


def key(value: Any) -> Key:
    """A name: a text or a whole number."""
    return value if isinstance(value, str) else whole(value)


def number(value: Any) -> float:
    """A number; a context's may be NaN or infinite, which rules do not get to see."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _not(value, "a number")
    return float(value)


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _not(value, "true or false")
    return value


def entries(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise _not(value, "a list")
    return value


def _not(value: Any, expected: str) -> SavedModelError:
    return SavedModelError(f"the saved model is damaged: found {value!r:.100}; expected {expected}")
