"""Rows to the records of a stream, whole arrays at a time. Pure."""

from __future__ import annotations

from qd_gateway.core.plans import StreamPlan
from qd_schemas.arrays import Rows
from qd_schemas.enums import DataType
from qd_schemas.frames import bar_frames, bar_messages, trade_frames, trade_messages


def records_of(plan: StreamPlan, rows: Rows, first_sequence: int) -> list[bytes]:
    """The records that carry the rows: packed frames, or one message each.

    Parameters
    ----------
    rows : ndarray of TRADE or BAR
        What the plan streams.
    first_sequence : int
        The number of the first row within the stream's numbering.

    Raises
    ------
    EncodeError
        A value does not fit its message.
    """
    match plan.data_type:
        case DataType.TRADES_EXACT:
            return trade_frames(rows, symbol_id=plan.symbol_id, stream_id=plan.stream_id)
        case DataType.OHLCV_EXACT:
            return bar_frames(
                rows,
                symbol_id=plan.symbol_id,
                stream_id=plan.stream_id,
                resolution=plan.resolution,
                first_sequence=first_sequence,
            )
        case DataType.TRADES:
            return trade_messages(rows, plan.symbol_id)
        case _:
            return bar_messages(rows, plan.symbol_id)
