"""What a demo is asked to do. Only values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARKETS_DEFAULT = 4
TRADES_DEFAULT = 250_000
TRADES_MIN = 100
TRADES_MAX = 50_000_000
SEED_DEFAULT = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A demo's choices.

    Attributes
    ----------
    data : Path or None
        A CSV, a folder or a zip; None generates `markets` markets of `trades` trades.
    market : str or None
        The market that is streamed; None takes the one with the most trades.
    keep : Path or None
        A new folder in which everything stays; None uses a temporary one.
    """

    data: Path | None = None
    market: str | None = None
    keep: Path | None = None
    markets: int = MARKETS_DEFAULT
    trades: int = TRADES_DEFAULT
    seed: int = SEED_DEFAULT
