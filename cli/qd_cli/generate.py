"""Generated markets: seeded CSV files in Kraken's layout (``unix_ts,price,volume``).

The trades are invented. They move as prices of bitcoin pairs do, in months that rise and
fall, so that some break out; a few rows are broken and a few are out of order, as in real
exports. The same seed gives the same bytes. Nothing here imports or streams anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_PRICES = {
    "XBT": 24_000.0,
    "ETH": 600.0,
    "LTC": 101.0,
    "XRP": 0.19,
    "ADA": 0.15,
    "DOT": 7.5,
    "SOL": 1.3,
    "LINK": 9.4,
    "ATOM": 5.1,
    "XMR": 128.0,
}
BASES = tuple(FIRST_PRICES)
QUOTES = ("EUR", "USD", "GBP", "CHF")
SYMBOLS = tuple(base + quote for quote, base in itertools.product(QUOTES, BASES))
MARKETS_MAX = len(SYMBOLS)

START_SECONDS = 1_609_459_200  # 2021-01-01 UTC
END_SECONDS = 1_704_067_200  # 2024-01-01 UTC
_MONTH_SECONDS = (END_SECONDS - START_SECONDS) / 36
_YEARLY_VOLATILITY = 0.55
_MONTHLY_DRIFT = 0.16
_YEAR_SECONDS = 365.25 * 86_400
_SAME_PRICE_SHARE = 0.6
"""How many trades are at the price of the trade before."""
_LATE_ROWS_EVERY = 500
_LATE_BY_ROWS_MAX = 40
_BAD_ROWS_EVERY = 20_000
_BAD_ROWS_MIN = 3
_BAD_ROWS = ("{t},,{v}", "{t},n/a,{v}", "{t},-1.00000,{v}", "{t}", "time,{p},{v}", "{t},{p},-")
_ROWS_AT_ONCE = 100_000

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GeneratedMarket:
    """One file that was written.

    Attributes
    ----------
    symbol : str
        The market, which is also the file's stem.
    trades : int
        Good rows.
    bad_rows : int
        Rows that no import may accept.
    """

    symbol: str
    path: Path
    trades: int
    bad_rows: int


def generate_market(folder: Path, index: int, *, trades: int, seed: int) -> GeneratedMarket:
    """Write one market's CSV.

    Parameters
    ----------
    folder : Path
        Where the file goes.
    index : int
        Which market: 0 to `MARKETS_MAX` - 1.
    trades : int
        Good rows, spread over three years.
    seed : int
        The same seed and index give the same file.
    """
    random = np.random.default_rng([seed, index])
    symbol = SYMBOLS[index]
    times = np.sort(random.integers(START_SECONDS, END_SECONDS, trades))
    prices = _prices(random, times, FIRST_PRICES[BASES[index % len(BASES)]])
    volumes = np.round(random.lognormal(-2.5, 1.5, trades), 8) + 1e-8
    order = _order(random, trades)
    bad = _bad_positions(random, trades)
    path = folder / f"{symbol}.csv"
    with path.open("w", encoding="ascii") as file:
        for begin in range(0, trades, _ROWS_AT_ONCE):
            rows = order[begin : begin + _ROWS_AT_ONCE]
            lines = _lines(times[rows], prices[rows], volumes[rows], bad, begin)
            file.write("\n".join(lines) + "\n")
    return GeneratedMarket(symbol, path, trades, sum(len(kinds) for kinds in bad.values()))


def _prices(random: np.random.Generator, times: Integers, first_price: float) -> Floats:
    """A random walk whose months rise and fall; many trades repeat the price before."""
    months = ((times - START_SECONDS) / _MONTH_SECONDS).astype(np.int64)
    drifts = random.normal(0.02, _MONTHLY_DRIFT, 37)
    passed = np.diff(times, prepend=START_SECONDS).astype(np.float64)
    steps = drifts[months] * passed / _MONTH_SECONDS
    spread = _YEARLY_VOLATILITY * np.sqrt(passed / _YEAR_SECONDS)
    steps += spread * random.standard_normal(len(times)) - spread**2 / 2
    walk = np.exp(np.cumsum(steps))
    moves = np.arange(len(times)) * (random.random(len(times)) >= _SAME_PRICE_SHARE)
    held = np.maximum.accumulate(moves)
    # Kraken writes five decimals; no price is so low that it rounds to nothing.
    return np.maximum(np.round(first_price * walk[held], 5), 1e-5)


def _order(random: np.random.Generator, trades: int) -> Integers:
    """The order of rows in the file: by time, but for some that come late."""
    places = np.arange(trades, dtype=np.float64)
    late = random.choice(trades, max(1, trades // _LATE_ROWS_EVERY), replace=False)
    places[late] += random.integers(1, _LATE_BY_ROWS_MAX, len(late)) + 0.5
    return np.argsort(places, kind="stable")


def _bad_positions(random: np.random.Generator, trades: int) -> dict[int, list[str]]:
    """Rows before which a broken row is put, with its pattern."""
    wanted = max(_BAD_ROWS_MIN, trades // _BAD_ROWS_EVERY)
    found: dict[int, list[str]] = {}
    for number, position in enumerate(random.integers(0, trades, wanted).tolist()):
        found.setdefault(position, []).append(_BAD_ROWS[number % len(_BAD_ROWS)])
    return found


def _lines(
    times: Integers, prices: Floats, volumes: Floats, bad: dict[int, list[str]], begin: int
) -> Iterator[str]:
    rows: Any = zip(times.tolist(), prices.tolist(), volumes.tolist(), strict=True)
    for place, (time, price, volume) in enumerate(rows, begin):
        for pattern in bad.get(place, ()):
            yield pattern.format(t=time, p=f"{price:.5f}", v=f"{volume:.8f}")
        yield f"{time},{price:.5f},{volume:.8f}"
