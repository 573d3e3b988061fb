"""Shipped processors that are one decorated function."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors.codecs import BYTES, JSON
from qd_fluvio.processors.decorators import array_map, dispatch, filter
from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.rows import TRADES
from qd_fluvio.processors.stages.making import checked_topic
from qd_fluvio.processors.stateful import deduplicate
from qd_schemas.arrays import Rows
from qd_schemas.codec import decode_at, iter_messages
from qd_schemas.enums import DataType, Resolution
from qd_schemas.frames import read_frame
from qd_schemas.messages import FrameHeader
from qd_schemas.table import layout_of

_TEMPLATE: Final = slice(2, 4)


def sbe_to_json() -> Processor:
    """SBE messages to JSON, one object a message; rows of packed frames have their sequence."""

    @array_map(BYTES, out=JSON)
    def messages_to_json(value: bytes) -> list[dict[str, Any]]:
        """SBE messages to JSON."""
        if int.from_bytes(value[_TEMPLATE], "little") == FrameHeader.TEMPLATE:
            return _frame_objects(value)
        return [
            {"message": layout_of(type(message)).name}
            | {name: getattr(message, name) for name in layout_of(type(message)).names}
            for message in iter_messages(value)
        ]

    return messages_to_json


def _frame_objects(value: bytes) -> list[dict[str, Any]]:
    frame = read_frame(value)
    header = frame.header
    bars = header.data_type_id == DataType.OHLCV_EXACT
    same: dict[str, Any] = {"message": "bar" if bars else "trade", "symbol_id": header.symbol_id}
    if bars:
        same |= {"resolution": Resolution(header.time_resolution).label}
    names = frame.rows.dtype.names or ()
    objects = [same | dict(zip(names, row, strict=True)) for row in frame.rows.tolist()]
    if bars:
        for number, made in enumerate(objects, header.first_sequence):
            made["sequence"] = number
    return objects


def large_trades(notional: float = 10_000.0, volume: float = 0.0) -> Processor:
    """Trades of at least a notional value (price times volume) and at least a volume.

    Parameters
    ----------
    notional : float
        The least price times volume.
    volume : float
        The least volume.
    """
    if not (notional >= 0 and volume >= 0):
        raise BadProcessor(f"notional {notional}, volume {volume}; expected 0 or more")

    @filter(TRADES)
    def large(trades: Rows) -> NDArray[np.bool_]:
        """Trades of at least a notional value and a volume."""
        found: NDArray[np.bool_] = (trades["price"] * trades["volume"] >= notional) & (
            trades["volume"] >= volume
        )
        return found

    return large


def deduplicated(count: int = 10_000, age: str = "") -> Processor:
    """Records without those whose value was among the last ones.

    Parameters
    ----------
    count : int
        How many values are remembered.
    age : str
        For how long, such as 10m; empty: however old.
    """

    @deduplicate(BYTES, count=count, age=age or None)
    def once(value: bytes) -> bytes:
        """Records without repeats of the last ones."""
        return value

    return once


def dispatch_by_symbol(prefix: str = "symbol-") -> Processor:
    """SBE records, each to the topic of its market: the prefix and the symbol's id.

    Parameters
    ----------
    prefix : str
        The beginning of the topics' names.
    """
    try:
        checked_topic(f"{prefix}0")
    except ValueError as error:
        raise BadProcessor(f"prefix: {error}") from None

    @dispatch(BYTES)
    def by_symbol(value: bytes) -> str:
        """SBE records, each to the topic of its market."""
        message, _ = decode_at(value, 0)
        symbol_id = getattr(message, "symbol_id", None)
        if symbol_id is None:
            raise ValueError(f"{type(message).__name__} has no symbol")
        return f"{prefix}{symbol_id}"

    return by_symbol
