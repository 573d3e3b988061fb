"""Declare causal rules and hold a replayed market against them: ``python causal_inference.py``.

Yesterday's bar is the context. It changes when a day is over, so no answer can know more than
was known at the trade's time.
"""

import sys

from qd_analytics import Context, Datoid, FromContext, State, build, rule
from qd_client import Bars, Slice, SyncQDClient, Trades

SYMBOL = sys.argv[1] if len(sys.argv) > 1 else "XBTEUR"
OPEN, HIGH, CLOSE = (FromContext("yesterday", field) for field in ("open", "high", "close"))


@rule
def rose(close=CLOSE, start=OPEN):
    "yesterday closed above its open"
    return close > start


@rule
def above(price, high=HIGH):
    "the price is above yesterday's high"
    return price > high


days = Context("days")
days.add(Datoid(1, {"open": 0.0, "high": float("inf"), "close": 0.0}))  # before the first day
days.point("yesterday", 1)
breakout = build("daily breakout", "rose -> above", [rose, above], data=["price"], contexts=[days])

trades = breakouts = 0
first = None
with SyncQDClient() as qd, qd.replay([Bars(SYMBOL, "1d"), Trades(SYMBOL)], every="1d") as replay:
    for event in replay:
        match event:
            case Slice(Bars(), rows):  # a day is over: its bar is known from now on
                values = {name: float(rows[name][-1]) for name in ("open", "high", "close")}
                days.update(Datoid(1, values))
            case Slice(Trades(), rows):
                answers = breakout.evaluate_batch({"price": rows["price"]}, days)
                is_true = answers.states == State.TRUE
                trades += len(rows)
                breakouts += int(is_true.sum())
                if first is None and is_true.any():
                    first = answers.row(int(is_true.argmax()))

print(f"{SYMBOL}: {breakouts} of {trades} trades are above the high of a day that rose")
if first is not None:
    print(first.explain())
