"""Many records as one numpy array of trades or bars, and arrays back as records.

Rows know their market and stream, and an array knows which record each row came from, so a
function sees a whole batch at once and its results still belong to records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors.values import Item, reason_of
from qd_schemas.arrays import BAR, TRADE, Rows, message_dtype
from qd_schemas.codec import decode, decode_at
from qd_schemas.enums import DataType
from qd_schemas.errors import DecodeError
from qd_schemas.frames import bar_frames, read_frame, trade_frames
from qd_schemas.messages import (
    FirstOHLCVBar,
    FirstTradeBar,
    FrameHeader,
    LastOHLCVBar,
    LastTradeBar,
    Message,
    OHLCVBar,
    TradeBar,
)
from qd_schemas.table import layout_of
from qd_schemas.wire import NO_STREAM, SCHEMA_ID, VERSION, VERSION_REFERENCE

TRADE_ROW: Final[np.dtype[np.void]] = np.dtype(
    [("symbol_id", "<u2"), ("stream_id", "<u4"), *TRADE.descr]
)
"""A trade with its market and stream; the sequence is 0 where the sender gave none."""
BAR_ROW: Final[np.dtype[np.void]] = np.dtype(
    [
        ("symbol_id", "<u2"),
        ("stream_id", "<u4"),
        ("resolution", "u1"),
        ("number", "<i8"),
        *BAR.descr,
    ]
)
"""A bar with its market, stream, resolution (`Resolution`'s number) and number in the stream."""

_TEMPLATE: Final = slice(2, 4)


@dataclass(frozen=True, slots=True)
class RowsCodec:
    """What a batch of records is to a function over arrays.

    Attributes
    ----------
    name : str
        As users write it.
    dtype : numpy.dtype
        Of the arrays.
    single : type of Message
        The message that holds one row, in f32.
    columns : mapping of str to str
        Where that message's values go in a row.
    marks : tuple of type of Message
        Messages without rows that belong to such streams.
    data_type : DataType
        What packed frames of them say.
    encode : callable
        Rows as records' values; a new one begins where market, stream or numbering breaks.
    """

    name: str
    dtype: np.dtype[np.void]
    single: type[Message]
    columns: dict[str, str]
    marks: tuple[type[Message], ...]
    data_type: DataType
    encode: Callable[[Rows], list[bytes]]

    @property
    def type(self) -> type[Any]:
        """What functions get."""
        return np.ndarray


@dataclass(slots=True)
class Batch:
    """Records as one array.

    Attributes
    ----------
    items : list of Item
        Those that could be read, also those without rows.
    rows : ndarray
        All their rows.
    ends : ndarray of int64
        Item i has the rows ``ends[i] - counts[i]`` to ``ends[i]``.
    marks : dict of int to Message
        What items that are no rows say, by the item's index.
    refused : list of (Item, str)
        Those that could not be read, and why.
    """

    items: list[Item]
    rows: Rows
    ends: NDArray[np.int64]
    marks: dict[int, Message]
    refused: list[tuple[Item, str]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows each item has."""
        counts: NDArray[np.int64] = np.diff(self.ends, prepend=0)
        return counts

    def item_of_row(self, row: NDArray[np.intp]) -> NDArray[np.intp]:
        """The index of the item that each row, given by its index, came from."""
        return np.searchsorted(self.ends, row, side="right")


def read(codec: RowsCodec, items: Sequence[Item]) -> Batch:
    """Decode items; what cannot be read is set apart."""
    single_bytes = layout_of(codec.single).total_bytes(VERSION)
    parts: list[Rows | None] = [None] * len(items)
    marks: dict[int, Message] = {}
    why: dict[int, str] = {}
    singles = [i for i, item in enumerate(items) if len(item.value) == single_bytes]
    bulk, valid = _singles(codec, b"".join(items[i].value for i in singles))
    alone = {i for i, fine in zip(singles, valid.tolist(), strict=True) if fine}
    for i, item in enumerate(items):
        if i in alone:
            continue
        try:
            found = _read_one(codec, item.value)
        except DecodeError as error:
            why[i] = reason_of(error)
            continue
        if isinstance(found, Message):
            marks[i] = found
        else:
            parts[i] = found
    counts = np.array(
        [1 if i in alone else 0 if part is None else len(part) for i, part in enumerate(parts)],
        np.int64,
    )
    return _joined(codec, items, bulk[valid], alone, parts, counts, marks, why)


def _joined(
    codec: RowsCodec,
    items: Sequence[Item],
    bulk: Rows,
    alone: set[int],
    parts: list[Rows | None],
    counts: NDArray[np.int64],
    marks: dict[int, Message],
    why: dict[int, str],
) -> Batch:
    ends = np.cumsum(counts)
    rows = np.empty(int(ends[-1]) if len(ends) else 0, codec.dtype)
    if alone:
        rows[ends[sorted(alone)] - 1] = bulk
    for part, end in zip(parts, ends.tolist(), strict=True):
        if part is not None:
            rows[end - len(part) : end] = part
    if not why:
        return Batch(list(items), rows, ends, marks, [])
    kept = [i for i in range(len(items)) if i not in why]
    place = {i: new for new, i in enumerate(kept)}
    return Batch(
        [items[i] for i in kept],
        rows,
        ends[kept],
        {place[i]: mark for i, mark in marks.items()},
        [(items[i], reason) for i, reason in why.items()],
    )


def _singles(codec: RowsCodec, data: bytes) -> tuple[Rows, NDArray[np.bool_]]:
    """Messages of one row each, back to back, and which of them are such messages."""
    dtype = message_dtype(codec.single, VERSION_REFERENCE)
    found = np.frombuffer(data, dtype)
    valid = (
        (found["block_length"] == dtype.itemsize - 8)
        & (found["template_id"] == codec.single.TEMPLATE)
        & (found["schema_id"] == SCHEMA_ID)
        & (found["version"] >= VERSION_REFERENCE)
        & (found["message_type"] == codec.single.TEMPLATE)
    )
    rows = np.zeros(len(found), codec.dtype)
    rows["symbol_id"] = found["symbol_id"]
    rows["stream_id"] = NO_STREAM
    for source, target in codec.columns.items():
        rows[target] = found[source]
    return rows, valid


def _read_one(codec: RowsCodec, value: bytes) -> Rows | Message:
    """One record: its rows, or the message that is no row."""
    template = int.from_bytes(value[_TEMPLATE], "little")
    if template == FrameHeader.TEMPLATE:
        return _frame_rows(codec, value)
    if template == codec.single.TEMPLATE:
        size = layout_of(codec.single).total_bytes(VERSION)
        if len(value) % size == 0:
            rows, valid = _singles(codec, value)
            if valid.all():
                return rows
    message, _ = decode_at(value, 0)
    if isinstance(message, codec.marks):
        return decode(value)
    raise DecodeError(
        f"a record of {type(message).__name__}; expected packed frames of {codec.data_type.name} "
        f"or whole {codec.single.__name__} messages"
    )


def _frame_rows(codec: RowsCodec, value: bytes) -> Rows:
    frame = read_frame(value)
    header = frame.header
    if header.data_type_id != codec.data_type:
        raise DecodeError(
            f"a packed frame of {DataType(header.data_type_id).name}; "
            f"expected {codec.data_type.name}"
        )
    rows = np.empty(len(frame.rows), codec.dtype)
    rows["symbol_id"] = header.symbol_id
    rows["stream_id"] = header.stream_id
    if codec.data_type is DataType.OHLCV_EXACT:
        rows["resolution"] = header.time_resolution
        rows["number"] = np.arange(len(rows)) + header.first_sequence
    for name in frame.rows.dtype.names or ():
        rows[name] = frame.rows[name]
    return rows


def plain_rows(rows: Rows, dtype: np.dtype[np.void]) -> Rows:
    """The columns of `dtype` alone."""
    out = np.empty(len(rows), dtype)
    for name in dtype.names or ():
        out[name] = rows[name]
    return out


def _trade_records(rows: Rows) -> list[bytes]:
    values: list[bytes] = []
    for part in _runs(rows, ("symbol_id", "stream_id")):
        values += trade_frames(
            plain_rows(part, TRADE),
            symbol_id=int(part["symbol_id"][0]),
            stream_id=int(part["stream_id"][0]),
        )
    return values


def _bar_records(rows: Rows) -> list[bytes]:
    values: list[bytes] = []
    for part in _runs(rows, ("symbol_id", "stream_id", "resolution"), "number"):
        values += bar_frames(
            plain_rows(part, BAR),
            symbol_id=int(part["symbol_id"][0]),
            stream_id=int(part["stream_id"][0]),
            resolution=int(part["resolution"][0]),
            first_sequence=int(part["number"][0]),
        )
    return values


def _runs(rows: Rows, same: tuple[str, ...], consecutive: str | None = None) -> list[Rows]:
    """Rows cut where a column of `same` changes, or `consecutive` does not go up by one."""
    if not len(rows):
        return []
    breaks = np.zeros(len(rows) - 1, bool)
    for name in same:
        breaks |= rows[name][1:] != rows[name][:-1]
    if consecutive is not None:
        breaks |= rows[consecutive][1:] - rows[consecutive][:-1] != 1
    return np.split(rows, np.flatnonzero(breaks) + 1)


TRADES: Final = RowsCodec(
    "TRADES",
    TRADE_ROW,
    TradeBar,
    {"date_time": "time", "price": "price", "volume": "volume"},
    (FirstTradeBar, LastTradeBar),
    DataType.TRADES_EXACT,
    _trade_records,
)
"""Trades: packed frames (exact), or messages of one trade (f32)."""
BARS: Final = RowsCodec(
    "BARS",
    BAR_ROW,
    OHLCVBar,
    {
        "date_time": "time",
        "open_price": "open",
        "high_price": "high",
        "low_price": "low",
        "close_price": "close",
        "volume": "volume",
    },
    (FirstOHLCVBar, LastOHLCVBar),
    DataType.OHLCV_EXACT,
    _bar_records,
)
"""Bars: packed frames (exact), or messages of one bar (f32)."""
