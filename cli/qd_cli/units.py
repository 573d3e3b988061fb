"""Durations and sizes as people write them, to numbers and back. Only text and numbers."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {
    "b": 1,
    **{f"{letter}b": 1_000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1_024**power for power, letter in enumerate("kmgt", 1)},
}
_PART = re.compile(r"(\d{1,18})\s*([a-z]+)\s*")
_SHOWN_BYTES = [(f"{letter}iB", 1_024**power) for power, letter in enumerate("KMGT", 1)]
_SHOWN_BYTES += [(f"{letter}B", 1_000**power) for power, letter in enumerate("kMGT", 1)]
_SHOWN_BYTES.sort(key=lambda unit: -unit[1])
_SHOWN_SECONDS = [(unit, size) for unit, size in _SECONDS.items() if unit != "w"][::-1]


def parse_seconds(text: str) -> int:
    """Read whole seconds: ``3600``, ``90s``, ``1h``, ``7d``, ``1h 30m``.

    Raises
    ------
    ValueError
        It is no duration; the message says what was expected.
    """
    found = _sum(text, _SECONDS)
    if found is None:
        raise ValueError(f"{text!r}; expected seconds or a duration such as 3600, 90s, 1h or 7d")
    return found


def parse_bytes(text: str) -> int:
    """Read a size: ``67108864``, ``64MB`` (millions), ``1GiB`` (powers of 1024).

    Raises
    ------
    ValueError
        It is no size; the message says what was expected.
    """
    found = _sum(text, _BYTES)
    if found is None:
        raise ValueError(f"{text!r}; expected bytes or a size such as 1048576, 64MB or 1GiB")
    return found


def _sum(text: str, units: dict[str, int]) -> int | None:
    text = text.strip().lower().replace("_", "")
    if re.fullmatch(r"\d{1,18}", text):
        return int(text)
    total, position = 0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] not in units:
            return None
        total += int(part[1]) * units[part[2]]
        position = part.end()
    return total if text else None


def exact_bytes(value: int) -> str:
    """Write a size in the largest unit in which it is a whole number: ``64MB``, ``1GiB``."""
    for unit, size in _SHOWN_BYTES:
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value}B"


def exact_seconds(value: int) -> str:
    """Write a duration without rounding: ``7d``, ``1h 30m``, ``0s``."""
    parts = []
    for unit, size in _SHOWN_SECONDS:
        count, value = divmod(value, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def short_bytes(value: int) -> str:
    """Write a size for people, to three digits: ``12.3 MiB``."""
    if value < 1_024:
        return f"{value} B"
    size = float(value)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1_024
        if size < 1_023.5:
            return f"{size:.3g} {unit}" if size < 999.5 else f"{size:.0f} {unit}"
    return f"{size / 1_024:,.1f} TiB"
