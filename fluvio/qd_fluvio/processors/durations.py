"""Durations as users write them: ``500ms``, ``5s``, ``1m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from typing import Final

from qd_fluvio.processors.errors import BadProcessor

_UNITS_US: Final = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_FORM: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


def microseconds(text: str, what: str, *, least: int = 1) -> int:
    """Read a duration.

    Parameters
    ----------
    text : str
        A whole number and a unit.
    what : str
        What it is for, in the error's words.
    least : int
        The smallest allowed, in microseconds.

    Raises
    ------
    BadProcessor
        It is none, or too short.
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    value = int(match[1]) * _UNITS_US[match[2]] if match else -1
    if value < least:
        raise BadProcessor(
            f"{what} is {text!r}; expected a whole number with ms, s, m, h or d, such as 30s or 1m"
        )
    return value
