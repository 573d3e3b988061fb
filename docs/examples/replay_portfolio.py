"""Replay three markets together and rebalance a portfolio at the end of each day.

``python replay_portfolio.py [SYMBOL…]``
"""

import sys

import numpy as np

from qd_client import IntervalEnd, Slice, SyncQDClient, Trades

SYMBOLS = sys.argv[1:] or ["XBTEUR", "ETHEUR", "LTCEUR"]
CASH = 10_000.0

prices: dict[str, float] = {}
held: dict[str, float] = {}
cash = CASH
values = []

with SyncQDClient() as qd, qd.replay(SYMBOLS, every="1d") as replay:
    for event in replay:  # in order of time over all markets
        match event:
            case Slice(Trades(symbol), rows):
                prices[symbol] = float(rows["price"][-1])
            case IntervalEnd(end=end) if len(prices) == len(SYMBOLS):
                value = cash + sum(held[symbol] * prices[symbol] for symbol in held)
                share = value / len(SYMBOLS)
                held = {symbol: share / prices[symbol] for symbol in SYMBOLS}
                cash = 0.0
                values.append((end, value))

worth = np.array([value for _, value in values])
deepest = (worth / np.maximum.accumulate(worth)).min() - 1
days = np.array([time for time, _ in values], "datetime64[us]").astype("datetime64[D]")
print(f"{days[0]} to {days[-1]}: {CASH:.2f} became {worth[-1]:.2f}, deepest fall {deepest:.1%}")
