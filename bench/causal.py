"""The breakout model and graphs of causaloids, against plain numpy comparisons."""

from __future__ import annotations

import numpy as np

from bench.report import Row, best_seconds, compared
from qd_analytics import Graph, MonthlyBreakout, threshold
from qd_schemas.arrays import Rows
from qd_schemas.frames import read_frame, trade_frames

OBSERVATIONS = 1_000
GRAPH_NODES = (10, 1_000, 10_000)
ONE_BY_ONE_TRADES = 2_000


def causal(trades: Rows) -> list[Row]:
    """Return the rates of the model on `trades`, and of linear graphs."""
    return [*_model(trades), *(_linear(nodes) for nodes in GRAPH_NODES)]


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


def _linear(nodes: int) -> Row:
    """A linear graph in nodes x observations/s, against one comparison of the same matrix."""
    graph = Graph("linear")
    graph.add(*(threshold(at, 0.55) for at in range(nodes)))
    graph.connect_all((at, at + 1) for at in range(nodes - 1))
    matrix = np.random.default_rng(1).uniform(0.54, 1.0, (nodes, OBSERVATIONS))
    columns = dict(enumerate(matrix))
    graph.plan()
    plain = Row("numpy comparison", matrix.size / best_seconds(lambda: matrix >= 0.55), "cells/s")
    rate = matrix.size / best_seconds(lambda: graph.evaluate_batch(columns))
    return compared(f"linear graph, {nodes:,} nodes", rate, "cells/s", plain)
