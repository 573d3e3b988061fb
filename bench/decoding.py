"""Packing and reading frames of trades, against construct and against memory copy."""

from __future__ import annotations

import numpy as np

from bench.report import Row, best_seconds, compared
from qd_schemas.arrays import Rows
from qd_schemas.constructs import construct_layout
from qd_schemas.frames import read_frame, trade_frames
from qd_schemas.messages import ExactTrade

CONSTRUCT_TRADES = 20_000  # enough for a steady rate; all of them would take a minute


def decoding(rows: Rows) -> list[Row]:
    """Return the rates of packing and reading `rows`, in trades/s."""
    frames = trade_frames(rows, symbol_id=1, stream_id=1)
    first = frames[0]
    header_bytes = len(first) % 36
    one = first[header_bytes : header_bytes + 36]
    layout = construct_layout(ExactTrade)
    block = np.frombuffer(b"".join(frames), dtype=np.uint8)

    def parse_each() -> None:
        for _ in range(CONSTRUCT_TRADES):
            layout.parse(one)

    copied = Row("memory copy of the frames", len(rows) / best_seconds(block.copy), "trades/s")
    parsed = Row("construct", CONSTRUCT_TRADES / best_seconds(parse_each), "trades/s")
    read = len(rows) / best_seconds(lambda: [read_frame(frame) for frame in frames])
    packed = len(rows) / best_seconds(lambda: trade_frames(rows, symbol_id=1, stream_id=1))
    return [
        copied,
        parsed,
        compared("read frames", read, "trades/s", copied),
        compared("read frames", read, "trades/s", parsed),
        compared("pack frames", packed, "trades/s", copied),
    ]
