"""One line of a file to one trade, in plain Python: exact, and slow.

This is the reference that says what a good row is; `parse` does the same for whole blocks.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from qd_store.amounts import AMOUNT_MAX, AMOUNT_MIN
from qd_store.exchanges.layout import Layout
from qd_store.imports.rows import Reason, Rejected, shown
from qd_store.times import TIME_MAX_US, TIME_MIN_US

Trade = tuple[int, float, float, int]
"""Microseconds, price, volume, line number."""

_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_TIME_BYTES_MAX: Final = 100  # beyond any time; keeps the exact arithmetic cheap


def parse_line(line: bytes, layout: Layout, number: int) -> Trade | Rejected:
    """Read one line.

    Parameters
    ----------
    line : bytes
        Without its newline.
    layout : Layout
        Its columns.
    number : int
        The line's number, from 1.

    Returns
    -------
    tuple or Rejected
        The time is exact, cut to whole microseconds; price and volume are the doubles
        nearest to the text.
    """
    cells = line.rstrip(b"\r").split(b",")
    if len(cells) != layout.columns:
        return Rejected(number, Reason.COLUMNS, shown(line))
    texts = [cells[index].strip(b" \t") for index in (layout.time, layout.price, layout.volume)]
    if not all(map(_NUMBER.fullmatch, texts)) or len(texts[0]) > _TIME_BYTES_MAX:
        named = all(_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) for text in texts)
        return Rejected(number, Reason.FINITE if named else Reason.NUMBER, shown(line))
    price, volume = float(texts[1]), float(texts[2])
    reason = _refused(price, volume)
    if reason:
        return Rejected(number, reason, shown(line))
    # Decimals overflow where doubles become infinite, so the doubles are looked at first.
    if not abs(float(texts[0])) * layout.unit < 2 * TIME_MAX_US:
        return Rejected(number, Reason.TIME, shown(line))
    microseconds = Decimal(texts[0].decode()) * layout.unit
    if not TIME_MIN_US <= microseconds < TIME_MAX_US:
        return Rejected(number, Reason.TIME, shown(line))
    whole = int(microseconds.to_integral_value(ROUND_FLOOR))
    return whole, price, volume + 0.0, number  # + 0.0 makes a minus zero plain


def _refused(price: float, volume: float) -> Reason | None:
    if not (math.isfinite(price) and math.isfinite(volume)):
        return Reason.FINITE
    if price <= 0:
        return Reason.PRICE
    if volume < 0:
        return Reason.VOLUME
    sound = all(AMOUNT_MIN <= amount <= AMOUNT_MAX for amount in (price, volume or price))
    return None if sound else Reason.AMOUNT
