"""The rows between a file and the tables: their dtypes and why a line is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from qd_schemas.arrays import Rows

RAW: Final[np.dtype[np.void]] = np.dtype(
    [("time", "<i8"), ("price", "<f8"), ("volume", "<f8"), ("line", "<i8")]
)
"""A good row of a file: microseconds since the epoch, price, volume, line number from 1."""

REJECT_TEXT_CHARS_MAX: Final = 500


class Reason(StrEnum):
    """Why a line of a file did not become a trade."""

    COLUMNS = "wrong number of columns"
    NUMBER = "not a number"
    FINITE = "not finite"
    PRICE = "price not above zero"
    VOLUME = "negative volume"
    AMOUNT = "absurd price or volume"
    TIME = "absurd time"
    OLDER = "older than the stored trades and not among them"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refused line: its number from 1, the reason, and its text."""

    line: int
    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """What a piece of a file holds: its good rows, in file order, and its refused lines."""

    rows: Rows
    rejected: tuple[Rejected, ...]


def shown(line: bytes) -> str:
    """A line's text for people: bytes that are not UTF-8 escaped, cut where very long."""
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")[:REJECT_TEXT_CHARS_MAX]
