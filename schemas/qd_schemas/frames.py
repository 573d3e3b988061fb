"""Packed frames: one record that holds a `FrameHeader` and many trades or bars.

Vectorised: rows are never looped over in Python. A row's values lie in the same order in
`TRADE` and `BAR` as in their messages, so a whole row moves as one block of bytes, and all
that precedes it in its message (header, type, symbol) is one constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qd_schemas.arrays import BAR, TRADE, Rows, message_dtype
from qd_schemas.codec import Buffer, decode_at, encode
from qd_schemas.enums import DataType, Resolution
from qd_schemas.errors import DecodeError, EncodeError
from qd_schemas.messages import ExactBar, ExactTrade, FrameHeader, Message, OHLCVBar, TradeBar
from qd_schemas.table import layout_of
from qd_schemas.wire import VERSION, VERSION_REFERENCE

FRAME_BYTES_MAX: Final = 64_000
"""The largest packed frame, in bytes; well below Fluvio's largest record."""

_I64_MAX: Final = 2**63 - 1
_HEADER_BYTES: Final = layout_of(FrameHeader).total_bytes(VERSION)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A packed frame's header and rows (`TRADE` or `BAR`, by the header's data type)."""

    header: FrameHeader
    rows: Rows


class _Packing:
    """How rows of one dtype lie in messages of one class."""

    def __init__(self, message: type[Message], rows: np.dtype[np.void], values_at: int) -> None:
        self.message = message
        self.rows = rows
        self.message_bytes = layout_of(message).total_bytes(VERSION)
        self.values_bytes = rows.itemsize - values_at
        self.prefix_bytes = self.message_bytes - self.values_bytes
        self.rows_max = (FRAME_BYTES_MAX - _HEADER_BYTES) // self.message_bytes
        values = f"V{self.values_bytes}"
        self.row_values = _one_field(values, values_at, rows.itemsize)
        self.packed = np.dtype(
            {
                "names": ["prefix", "values"],
                "formats": [f"V{self.prefix_bytes}", values],
                "offsets": [0, self.prefix_bytes],
                "itemsize": self.message_bytes,
            }
        )


def _one_field(code: str, offset: int, itemsize: int) -> np.dtype[np.void]:
    return np.dtype(
        {"names": ["values"], "formats": [code], "offsets": [offset], "itemsize": itemsize}
    )


_TRADES: Final = _Packing(ExactTrade, TRADE, values_at=8)
_BARS: Final = _Packing(ExactBar, BAR, values_at=0)
_PACKINGS: Final[dict[int, _Packing]] = {
    DataType.TRADES_EXACT: _TRADES,
    DataType.OHLCV_EXACT: _BARS,
}


def trade_frames(rows: Rows, *, symbol_id: int, stream_id: int) -> list[bytes]:
    """Pack trades.

    Parameters
    ----------
    rows : ndarray of TRADE
        Where a sequence number does not follow the one before it, a new frame begins.
    symbol_id, stream_id : int
        What the frames' headers carry.

    Returns
    -------
    list of bytes
        Whole frames of at most `FRAME_BYTES_MAX` bytes, each meant as one record.

    Raises
    ------
    EncodeError
        The rows are of another dtype, or a number does not fit its field.
    """
    _check_dtype(rows, TRADE)
    frames: list[bytes] = []
    for start, stop in _runs(rows["sequence"]):
        header = FrameHeader(
            symbol_id=symbol_id,
            stream_id=stream_id,
            data_type_id=DataType.TRADES_EXACT,
            time_resolution=Resolution.NONE,
            first_sequence=int(rows["sequence"][start]),
            count=0,
        )
        frames += _pack(_TRADES, rows[start:stop], header)
    return frames


def bar_frames(
    rows: Rows, *, symbol_id: int, stream_id: int, resolution: int, first_sequence: int
) -> list[bytes]:
    """Pack bars.

    Parameters
    ----------
    rows : ndarray of BAR
        The bars; the first one's number within the stream is `first_sequence`.
    symbol_id, stream_id, resolution : int
        What the frames' headers carry.

    Returns
    -------
    list of bytes
        Whole frames of at most `FRAME_BYTES_MAX` bytes, each meant as one record.

    Raises
    ------
    EncodeError
        The rows are of another dtype, or a number does not fit its field.
    """
    _check_dtype(rows, BAR)
    header = FrameHeader(
        symbol_id=symbol_id,
        stream_id=stream_id,
        data_type_id=DataType.OHLCV_EXACT,
        time_resolution=resolution,
        first_sequence=first_sequence,
        count=0,
    )
    return _pack(_BARS, rows, header)


def _runs(sequence: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """The ranges of rows whose sequence numbers follow each other."""
    if not len(sequence):
        return
    # The second test catches a step from the largest number to the smallest, which wraps.
    steps = (sequence[1:] - sequence[:-1] != 1) | (sequence[1:] < sequence[:-1])
    breaks = np.flatnonzero(steps) + 1
    yield from zip([0, *breaks.tolist()], [*breaks.tolist(), len(sequence)], strict=True)


def _pack(packing: _Packing, rows: Rows, header: FrameHeader) -> list[bytes]:
    """Pack rows with consecutive numbers; the prefixes are written once for all frames."""
    if not _numbers_fit(header.first_sequence, len(rows)):
        raise EncodeError(
            f"{len(rows)} rows from sequence {header.first_sequence}; "
            "expected numbers from 0 up that fit 63 bits"
        )
    values = rows.view(packing.row_values)["values"]
    size = min(len(rows), packing.rows_max)
    messages = np.empty(size, packing.packed)
    prefix = _blank(packing.message, header.symbol_id)[: packing.prefix_bytes]
    messages["prefix"] = np.void(prefix)
    frames: list[bytes] = []
    for start in range(0, len(rows), packing.rows_max):
        part = values[start : start + packing.rows_max]
        messages["values"][: len(part)] = part
        head = _with_position(header, header.first_sequence + start, len(part))
        frames.append(b"".join((encode(head), messages[: len(part)].data)))
    return frames


def _numbers_fit(first_sequence: int, count: int) -> bool:
    return 0 <= first_sequence <= _I64_MAX - max(count - 1, 0)


def _with_position(header: FrameHeader, first_sequence: int, count: int) -> FrameHeader:
    return FrameHeader(
        header.symbol_id,
        header.stream_id,
        header.data_type_id,
        header.time_resolution,
        first_sequence,
        count,
    )


def _blank(message: type[Message], symbol_id: int, version: int = VERSION) -> bytes:
    """A market's message whose other values are zero."""
    values = dict.fromkeys(layout_of(message).names, 0) | {"symbol_id": symbol_id}
    return encode(message(**values), version)


def read_frame(buffer: Buffer) -> Frame:
    """Read a packed frame.

    Returns
    -------
    Frame
        The header and an array of its own (it does not keep `buffer` alive).

    Raises
    ------
    DecodeError
        The bytes are not a packed frame, or its count, length and messages disagree.
    """
    header, start = decode_at(buffer, 0)
    if not isinstance(header, FrameHeader):
        raise DecodeError(f"{type(header).__name__} where a packed frame's FrameHeader belongs")
    packing = _packing_of(header)
    values = _values(buffer, start, header, packing)
    rows = np.empty(header.count, packing.rows)
    rows.view(packing.row_values)["values"] = values
    if packing is _TRADES:
        np.add(np.arange(header.count), header.first_sequence, out=rows["sequence"])
    return Frame(header, rows)


def _packing_of(header: FrameHeader) -> _Packing:
    packing = _PACKINGS.get(header.data_type_id)
    if packing is None:
        raise DecodeError(
            f"a packed frame of data type {header.data_type_id}; expected "
            f"{DataType.TRADES_EXACT:d} (trades) or {DataType.OHLCV_EXACT:d} (OHLCV)"
        )
    if not _numbers_fit(header.first_sequence, header.count):
        raise DecodeError(
            f"a packed frame of {header.count} rows from sequence {header.first_sequence}; "
            "expected numbers from 0 up that fit 63 bits"
        )
    return packing


def _values(
    buffer: Buffer, start: int, header: FrameHeader, packing: _Packing
) -> np.ndarray[Any, np.dtype[np.void]]:
    """View the rows' values inside the frame, once every message's prefix is proven right.

    A newer sender's messages may be longer; what it added is stepped over.
    """
    found = len(buffer) - start
    step = _message_bytes(buffer, start, packing) if header.count else packing.message_bytes
    if found != header.count * step:
        raise DecodeError(
            f"a packed frame counts {header.count} rows of {step} bytes, "
            f"but {found} bytes follow its header"
        )
    if not header.count:
        return np.empty(0, f"V{packing.values_bytes}")
    prefixes = np.ndarray(
        (header.count, packing.prefix_bytes // 4), "<u4", buffer, start, (step, 4)
    )
    expected = _expected_prefix(buffer, start, header, packing)
    if not all((prefixes[:, part] == expected[part]).all() for part in range(len(expected))):
        raise DecodeError(
            f"a packed frame holds a message that is no {packing.message.__name__} "
            f"of symbol id {header.symbol_id}"
        )
    return np.ndarray(
        (header.count,),
        f"V{packing.values_bytes}",
        buffer,
        start + packing.prefix_bytes,
        (step,),
    )


def _message_bytes(buffer: Buffer, start: int, packing: _Packing) -> int:
    """The length of the first message, and with it of all."""
    message, end = decode_at(buffer, start)
    if not isinstance(message, packing.message):
        raise DecodeError(
            f"a packed frame holds {type(message).__name__}; expected {packing.message.__name__}"
        )
    return end - start


def _expected_prefix(
    buffer: Buffer, start: int, header: FrameHeader, packing: _Packing
) -> npt.NDArray[np.uint32]:
    """The first message's prefix with the header's symbol, as all messages must have it."""
    prefix = bytearray(buffer[start : start + packing.prefix_bytes])
    prefix[-2:] = header.symbol_id.to_bytes(2, "little")
    return np.frombuffer(prefix.ljust(packing.prefix_bytes, b"\0"), "<u4")


def trade_messages(rows: Rows, symbol_id: int, version: int = VERSION_REFERENCE) -> list[bytes]:
    """Write trades as the reference does: one `TradeBar` each, prices in f32.

    Parameters
    ----------
    rows : ndarray of TRADE
        The trades.
    symbol_id : int
        What each message carries.
    version : int
        The version in the messages' headers.

    Returns
    -------
    list of bytes
        One message for each row.

    Raises
    ------
    EncodeError
        A price or volume is too large for f32.
    """
    _check_dtype(rows, TRADE)
    columns = {"date_time": "time", "price": "price", "volume": "volume"}
    return _messages(TradeBar, rows, columns, symbol_id, version)


def bar_messages(rows: Rows, symbol_id: int, version: int = VERSION_REFERENCE) -> list[bytes]:
    """Write bars as the reference does: one `OHLCVBar` each, prices in f32.

    Parameters, result and errors as in `trade_messages`; `rows` is an ndarray of BAR.
    """
    _check_dtype(rows, BAR)
    columns = {
        "date_time": "time",
        "open_price": "open",
        "high_price": "high",
        "low_price": "low",
        "close_price": "close",
        "volume": "volume",
    }
    return _messages(OHLCVBar, rows, columns, symbol_id, version)


def _messages(
    message: type[Message], rows: Rows, columns: dict[str, str], symbol_id: int, version: int
) -> list[bytes]:
    blank = np.void(_blank(message, symbol_id, version))
    messages = np.full(len(rows), blank, blank.dtype).view(message_dtype(message, version))
    try:
        with np.errstate(over="raise"):
            for name, source in columns.items():
                messages[name] = rows[source]
    except FloatingPointError:
        raise EncodeError(
            f"a {name} of symbol id {symbol_id} is too large for f32 in {message.__name__}; "
            "ask for the exact data types of version 2"
        ) from None
    # Opaque items: the list is made in C, and no trailing zero is lost as it would be from S.
    packed: list[bytes] = messages.view(f"V{messages.itemsize}").tolist()
    return packed


def _check_dtype(rows: Rows, expected: np.dtype[np.void]) -> None:
    if rows.dtype != expected:
        raise EncodeError(f"rows of dtype {rows.dtype}; expected {expected}")
