"""The breakout model and graphs of causaloids, against plain numpy comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from bench.causal_graphs import graphs
from bench.report import Row, best_seconds, compared
from qd_analytics import MarketRun, choose
from qd_analytics.models.loading import DEFAULT
from qd_schemas.arrays import Rows
from qd_schemas.codec import iter_messages
from qd_schemas.frames import read_frame, trade_frames
from qd_schemas.messages import ExactTrade, FrameHeader

ONE_BY_ONE_TRADES = 2_000


def causal(trades: Rows) -> list[Row]:
    """Return the rates of the model on `trades`, and the times of graphs."""
    return [*_model(trades), *graphs()]


def _model(trades: Rows) -> list[Row]:
    """The four rules with their context, in trades/s; what is decoded is decoded in both."""
    price = float(np.median(trades["price"]))
    frames = trade_frames(trades, symbol_id=1, stream_id=1)
    parts = [read_frame(frame).rows for frame in frames]
    count = len(trades)

    def rate(run: Callable[[], object]) -> float:
        return count / best_seconds(run)

    def evaluate(arrays: Iterable[Rows], model: str = DEFAULT) -> None:
        run = MarketRun(choose(model), 1, 1)
        for rows in arrays:
            run.evaluate(rows)

    def decoded() -> Iterator[Rows]:
        return (read_frame(frame).rows for frame in frames)

    plain = Row("one numpy comparison", rate(lambda: trades["price"] > price), "trades/s")
    by_frame = Row(
        "numpy decode and compare by frame",
        rate(lambda: [rows["price"] > price for rows in decoded()]),
        "trades/s",
    )
    compare_only = Row(
        "numpy compare by frame, decoded before",
        rate(lambda: [rows["price"] > price for rows in parts]),
        "trades/s",
    )
    return [
        plain,
        compared("model", rate(lambda: evaluate([trades])), "trades/s", plain),
        by_frame,
        compared(
            "decode and model by frame", rate(lambda: evaluate(decoded())), "trades/s", by_frame
        ),
        compare_only,
        compared("model by frame", rate(lambda: evaluate(parts)), "trades/s", compare_only),
        Row("volatility model by frame", rate(lambda: evaluate(parts, "volatility")), "trades/s"),
        *_one_by_one(trades[:ONE_BY_ONE_TRADES]),
    ]


def _one_by_one(trades: Rows) -> list[Row]:
    """Records of one trade each, as a live market sends them: microseconds a trade."""
    records = [
        trade_frames(trades[at : at + 1], symbol_id=1, stream_id=1)[0] for at in range(len(trades))
    ]
    values = trades.tolist()

    def decode() -> None:
        for record in records:
            one_trade(record)

    def evaluate() -> None:
        run = MarketRun(choose(DEFAULT), 1, 1)
        for trade in values:
            run.evaluate_trade(*trade)

    def both() -> None:
        run = MarketRun(choose(DEFAULT), 1, 1)
        for record in records:
            run.evaluate_trade(*one_trade(record))

    def time_of(run: Callable[[], object]) -> float:
        return best_seconds(run) / len(records) * 1e6

    return [
        Row("decode one trade", time_of(decode), "us"),
        Row("model, one trade", time_of(evaluate), "us"),
        Row("decode and model, one trade at a time", time_of(both), "us"),
    ]


def one_trade(record: bytes) -> tuple[int, int, float, float]:
    """A frame of one trade: sequence, time, price, volume."""
    header, trade = iter_messages(record)
    assert isinstance(header, FrameHeader)
    assert isinstance(trade, ExactTrade)
    return (header.first_sequence, trade.date_time, trade.price, trade.volume)
