"""What replaying clients ask for, drawn from a seed, and what they must get. Asks nobody.

A round is one replay: a market's trades or bars, from a sequence, to a time, at a pace, read
slowly or not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import bar_ends
from qd_schemas.enums import Resolution

RESOLUTIONS = (Resolution.M1, Resolution.M5, Resolution.H1)
TRADES_SHARE = 0.6
PACED_SHARE = 0.3
SLOW_SHARE = 0.3
PACED_SECONDS = (1.0, 8.0)
REST_SECONDS_MAX = 0.05

Rowsets = Mapping[tuple[str, Resolution], Rows]
"""All rows of each market: its trades (at no resolution) and its bars that are over."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One round.

    Attributes
    ----------
    resolution : Resolution
        Of bars; none for trades.
    first, last : int
        The rows' places in all rows of that kind, from 0, the last exclusive.
    pace_seconds : float
        How long it shall take by pace; 0 is as fast as possible.
    rest_seconds : float
        How long the reader does something else after each array.
    """

    symbol: str
    resolution: Resolution
    first: int
    last: int
    pace_seconds: float
    rest_seconds: float

    def rows(self, rowsets: Rowsets) -> Rows:
        """What it must get."""
        return rowsets[self.symbol, self.resolution][self.first : self.last]

    def end(self, rowsets: Rowsets) -> int | None:
        """The time before which it ends; None for the market's end."""
        whole = rowsets[self.symbol, self.resolution]
        return None if self.last == len(whole) else int(whole["time"][self.last])

    def pace(self, rowsets: Rowsets) -> float:
        """How many times real time it is."""
        times = self.rows(rowsets)["time"]
        span_s = float(times[-1] - times[0]) / 1e6
        return span_s / self.pace_seconds if self.pace_seconds else 0.0


def wanted(seed: int, client: int, number: int, rowsets: Rowsets) -> Wanted:
    """A client's round of that number."""
    chance = random.Random(f"{seed} {client} {number}")
    symbol = chance.choice(sorted({symbol for symbol, _ in rowsets}))
    is_trades = chance.random() < TRADES_SHARE
    resolution = Resolution.NONE if is_trades else chance.choice(RESOLUTIONS)
    whole = rowsets[symbol, resolution]
    first = 0 if chance.random() < 0.5 else chance.randrange(len(whole) // 2)
    last = len(whole) if chance.random() < 0.5 else chance.randrange(first + 2, len(whole))
    return Wanted(
        symbol,
        resolution,
        first,
        _unequal(whole["time"], last),
        chance.uniform(*PACED_SECONDS) if chance.random() < PACED_SHARE else 0.0,
        chance.uniform(0, REST_SECONDS_MAX) if chance.random() < SLOW_SHARE else 0.0,
    )


def _unequal(times: NDArray[np.int64], last: int) -> int:
    """The next place before which a time ends: an end in time cannot part rows of one time."""
    while last < len(times) and times[last] == times[last - 1]:
        last += 1
    return last


def dtype_of(asked: Wanted) -> np.dtype[np.void]:
    """What a round's rows are."""
    return TRADE if asked.resolution is Resolution.NONE else BAR


def first_wrong(found: Rows, expected: Rows) -> int | None:
    """The place of the first row that is missing, too many, or another; None where all is right."""
    both = min(len(found), len(expected))
    wrong = np.flatnonzero(found[:both] != expected[:both])
    if len(wrong):
        return int(wrong[0])
    return None if len(found) == len(expected) else both


def over(trades: Rows, bars: Rows, resolution: Resolution) -> Rows:
    """The bars that are over once all these trades have happened."""
    found: Rows = bars[bar_ends(resolution, bars["time"].copy()) <= trades["time"][-1]]
    return found


def save(folder: Path, rowsets: Rowsets) -> None:
    """Write all rows where the clients' processes find them."""
    for (symbol, resolution), rows in rowsets.items():
        np.save(folder / f"{symbol}-{int(resolution)}.npy", rows)


def load(folder: Path) -> dict[tuple[str, Resolution], Rows]:
    """Read them back."""
    found: dict[tuple[str, Resolution], Rows] = {}
    for path in folder.glob("*.npy"):
        symbol, _, resolution = path.stem.partition("-")
        found[symbol, Resolution(int(resolution))] = np.load(path)
    return found
