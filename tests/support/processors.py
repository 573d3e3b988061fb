"""Processors of every kind, and input for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from qd_fluvio import Record
from qd_fluvio import processors as p
from qd_fluvio.processors.shipped.bars import trades_to_bars
from qd_fluvio.processors.shipped.movers import top_movers
from qd_schemas.arrays import TRADE, Rows
from qd_schemas.codec import encode
from qd_schemas.frames import trade_frames, trade_messages
from qd_schemas.messages import FirstTradeBar, LastTradeBar


def records_of(values: Sequence[bytes], start: int = 0) -> list[Record]:
    """Values as records of one partition, a second apart."""
    return [
        Record(offset, 1_000_000 + offset * 1000, None, value)
        for offset, value in enumerate(values, start)
    ]


def trades(count: int, *, first: int = 1, step_us: int = 7_000_000, seed: int = 1) -> Rows:
    """Trades of one market, some seconds apart."""
    random = np.random.default_rng([seed, first])
    rows = np.zeros(count, TRADE)
    rows["sequence"] = np.arange(first, first + count)
    rows["time"] = 1_700_000_000_000_000 + (first + np.arange(count)) * step_us
    rows["price"] = random.uniform(1, 100, count)
    rows["volume"] = random.uniform(0.1, 5, count)
    return rows


def stream_values(rows: Rows, symbol_id: int, sizes: Sequence[int]) -> list[bytes]:
    """One stream as a client gets it: its first message, frames of these sizes, its last."""
    values = [encode(FirstTradeBar(symbol_id, symbol_id))]
    at = turn = 0
    while at < len(rows):
        size = sizes[turn % len(sizes)]
        values += trade_frames(rows[at : at + size], symbol_id=symbol_id, stream_id=symbol_id)
        at, turn = at + size, turn + 1
    return [*values, encode(LastTradeBar(symbol_id, symbol_id, 0, len(rows)))]


def mixed_values() -> list[bytes]:
    """Two markets' streams frame by frame in turn, single messages, and bytes that are none."""
    one = stream_values(trades(60), 1, [7, 1])
    two = stream_values(trades(40, seed=2), 2, [5])
    three = trade_messages(trades(12, seed=3), 3)
    together = [value for pair in zip(one, two, strict=False) for value in pair]
    rest = one[len(two) :]
    return [*together, b"no message", *three[:6], *rest, b"", *three[6:]]


def json_values() -> list[bytes]:
    """Objects with small numbers and times that go up and down, and what is no JSON."""
    random = np.random.default_rng(5)
    numbers = random.integers(0, 9, 60).tolist()
    times = (np.arange(60) * 700_000 + random.integers(-6_000_000, 0, 60)).tolist()
    pairs = zip(numbers, times, strict=True)
    values = [json.dumps({"x": x, "t": t}).encode() for x, t in pairs]
    return [*values[:30], b"{", *values[30:]]


@p.filter(p.JSON)
def even(value: Any) -> bool:
    return bool(value["x"] % 2 == 0)


@p.map(p.JSON)
def halved(value: Any) -> Any:
    return {**value, "half": 12 / value["x"]}  # fails at 0


@p.filter_map(p.JSON)
def bounded(value: Any) -> Any:
    return value if value["x"] > 3 else None


@p.array_map(p.JSON)
def repeated(value: Any) -> list[Any]:
    return [value] * (value["x"] % 3)


@p.aggregate(p.JSON, initial={"sum": 0, "seen": ()}, key=lambda value: value["x"] % 3)
def summed(state: Any, value: Any) -> Any:
    state["sum"] += value["x"]
    state["seen"] = (*state["seen"], value["x"])[-3:]
    if value["x"] == 7:
        raise ValueError("seven")  # after it changed its accumulator
    return state


@p.deduplicate(p.JSON, count=3, age="9s")
def distinct(value: Any) -> Any:
    return value["x"]


@p.window(
    p.JSON, every="5s", initial=0, lateness="3s", time=lambda v: v["t"], key=lambda v: v["x"] % 2
)
def counted(count: int, value: Any) -> int:
    return count + 1


@p.window(p.JSON, every="5s", initial=())
def gathered(seen: Any, value: Any) -> Any:
    return (*seen, value["x"])


@p.dispatch(p.JSON)
def spread(value: Any) -> str | None:
    return None if value["x"] % 4 == 0 else f"topic-{value['x'] % 4}"


@p.map(p.JSON)
def value_of(value: Any) -> Any:
    return {"x": value["value"]["sum"]}


@p.map(p.JSON)
def keyed(value: Any) -> p.Out:
    return p.Out(value["x"], key=str(value["x"] % 2).encode())


@p.filter(p.TRADES)
def dear(rows: Rows) -> Any:
    return rows["price"] > 50


@p.map(p.TRADES)
def doubled(rows: Rows) -> Rows:
    rows["volume"] *= 2
    return rows


@p.filter_map(p.TRADES)
def every_third(rows: Rows) -> Any:
    sources = np.flatnonzero(rows["sequence"] % 3 == 0)
    return rows[sources], sources


@p.array_map(p.TRADES)
def twice(rows: Rows) -> Any:
    sources = np.repeat(np.arange(len(rows)), 2)
    return rows[sources], sources


@p.map(p.TRADES, out=p.JSON)
def prices(rows: Rows) -> Any:
    return rows["price"].tolist()


@p.map(p.TRADES)
def fussy(rows: Rows) -> Rows:
    if (rows["sequence"] % 17 == 3).any():
        raise ValueError("not this one")
    return rows


@p.deduplicate(p.TRADES, count=20)
def by_sequence(rows: Rows) -> Any:
    return rows["sequence"] % 30


@p.dispatch(p.TRADES)
def by_price(rows: Rows) -> Any:
    return np.where(rows["price"] > 50, "dear", "cheap")


@p.aggregate(p.TRADES, initial=0.0)
def turnover(total: float, rows: Rows) -> float:
    for price, volume in rows[["price", "volume"]].tolist():
        total += price * volume
    return total


RECORD_PROCESSORS: dict[str, p.Processor] = {
    "filter": even,
    "map": halved,
    "filter_map": bounded,
    "array_map": repeated,
    "aggregate": summed,
    "deduplicate": distinct,
    "window": counted,
    "window by record time": gathered,
    "dispatch": spread,
    "keyed": keyed,
    "chain": p.chain(repeated, summed, value_of, distinct),
    "chain to topics": p.chain(halved, even, distinct, spread),
}
"""Over `json_values`."""

ROW_PROCESSORS: dict[str, p.Processor] = {
    "filter": dear,
    "map": doubled,
    "filter_map": every_third,
    "array_map": twice,
    "to json": prices,
    "failing": fussy,
    "deduplicate": by_sequence,
    "dispatch": by_price,
    "aggregate": turnover,
    "bars of 1m": trades_to_bars("1m"),
    "bars of 1h": trades_to_bars("1h"),
    "movers": top_movers("1m", 2, "20s"),
    "chain": p.chain(doubled, dear, trades_to_bars("1m")),
}
"""Over `mixed_values`."""
