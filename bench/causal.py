"""The breakout model and graphs of causaloids, against plain numpy comparisons."""

from __future__ import annotations

import numpy as np

from bench.causal_graphs import graphs
from bench.report import Row, best_seconds, compared
from qd_analytics import MonthlyBreakout
from qd_schemas.arrays import Rows
from qd_schemas.frames import read_frame, trade_frames

ONE_BY_ONE_TRADES = 2_000


def causal(trades: Rows) -> list[Row]:
    """Return the rates of the model on `trades`, and the times of graphs."""
    return [*_model(trades), *graphs()]


def _model(trades: Rows) -> list[Row]:
    """The four rules with their context, in trades/s."""
    price = float(np.median(trades["price"]))
    parts = [read_frame(frame).rows for frame in trade_frames(trades, symbol_id=1, stream_id=1)]

    def compare(rows: Rows) -> object:
        prices = rows["price"]
        return (prices > price) & (prices > price - 1) & (prices > price - 2)

    def evaluate(rows: list[Rows]) -> None:
        model = MonthlyBreakout()
        for part in rows:
            model.evaluate(part)

    count = len(trades)
    plain = Row(
        "three numpy comparisons", count / best_seconds(lambda: compare(trades)), "trades/s"
    )
    frames = best_seconds(lambda: [compare(part) for part in parts])
    by_frame = Row("three numpy comparisons by frame", count / frames, "trades/s")
    few = trades[:ONE_BY_ONE_TRADES]
    single = best_seconds(lambda: evaluate([few[at : at + 1] for at in range(len(few))]))
    return [
        plain,
        compared("model", count / best_seconds(lambda: evaluate([trades])), "trades/s", plain),
        by_frame,
        compared(
            "model by frame", count / best_seconds(lambda: evaluate(parts)), "trades/s", by_frame
        ),
        Row("model one trade at a time", len(few) / single, "trades/s"),
    ]
