"""Blocks of lines to arrays of trades, vectorised.

Arrow's CSV reader does the work. A block that it refuses is halved until the lines at fault
are few, and those are read one by one (`lines`), so that a bad row costs little. Both ways
accept the same lines and give the same bits, which a test proves.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from qd_schemas.arrays import Rows
from qd_store.amounts import AMOUNT_MAX, AMOUNT_MIN
from qd_store.exchanges.layout import Layout, TimeUnit
from qd_store.imports.lines import parse_line
from qd_store.imports.rows import RAW, Block, Reason, Rejected, shown
from qd_store.times import TIME_MAX_US, TIME_MIN_US

_SLOW_BYTES_MAX: Final = 8 * 1024
_NEWLINE: Final = ord("\n")
_NANOSECONDS: Final = {  # exact; a longer fraction goes the slow way
    TimeUnit.SECONDS: pa.decimal128(38, 9),
    TimeUnit.MILLISECONDS: pa.decimal128(38, 6),
    TimeUnit.MICROSECONDS: pa.decimal128(38, 3),
}
_PARSE_OPTIONS: Final = pa_csv.ParseOptions(quote_char=False, ignore_empty_lines=False)


class BlockParser:
    """Parses a file's blocks one after the other; knows the line numbers."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = [f"column{index}" for index in range(layout.columns)]
        self._skip_line = layout.header
        self._next_line = 1
        self._time_type: Any = pa.int64()  # or text, where there are fractions of seconds

    def parse(self, data: bytes) -> Block:
        """Parse whole lines that follow those parsed so far."""
        if self._next_line == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        if self._skip_line:
            self._skip_line = False
            _, _, data = data.partition(b"\n")
            self._next_line += 1
        first = self._next_line
        self._next_line += _line_count(data)
        rows: list[Rows] = []
        rejected: list[Rejected] = []
        self._piece(data, first, rows, rejected)
        if len(rows) != 1:
            rows = [np.concatenate([np.empty(0, RAW), *rows])]
        return Block(rows[0], tuple(rejected))

    def _piece(self, data: bytes, first: int, rows: list[Rows], rejected: list[Rejected]) -> None:
        """Parse a piece whole, or by halves, or, where it is small, line by line."""
        if not data:
            return
        arrays = self._fast(data)
        if arrays is not None:
            self._take(arrays, data, first, rows, rejected)
            return
        middle = data.find(b"\n", len(data) // 2) + 1
        if len(data) <= _SLOW_BYTES_MAX or middle in (0, len(data)):
            self._slow(data, first, rows, rejected)
            return
        self._piece(data[:middle], first, rows, rejected)
        self._piece(data[middle:], first + data.count(b"\n", 0, middle), rows, rejected)

    def _fast(self, data: bytes) -> Rows | None:
        """All lines as rows, good or not; None where Arrow cannot read them all."""
        table = self._table(data)
        if table is None and self._time_type != pa.string():
            self._time_type = pa.string()  # fractions of seconds, perhaps
            table = self._table(data)
            if table is None:
                self._time_type = pa.int64()
        if table is None or table.num_rows != _line_count(data):
            return None
        time, price, volume = (table.column(i).combine_chunks() for i in range(3))
        if time.type == pa.string():
            time = _decimals(time, self._layout.unit)
        if time is None:
            self._time_type = pa.int64()
            return None
        if any(column.null_count for column in (time, price, volume)):
            return None
        rows = np.empty(table.num_rows, RAW)
        rows["time"] = _microseconds(time, self._layout.unit)
        rows["price"] = price.to_numpy()
        rows["volume"] = volume.to_numpy()
        return rows

    def _table(self, data: bytes) -> Any:
        layout = self._layout
        wanted = [self._names[index] for index in (layout.time, layout.price, layout.volume)]
        types = dict(zip(wanted, (self._time_type, pa.float64(), pa.float64()), strict=True))
        try:
            return pa_csv.read_csv(
                pa.BufferReader(data),
                read_options=pa_csv.ReadOptions(
                    column_names=self._names, use_threads=False, block_size=len(data) + 1
                ),
                parse_options=_PARSE_OPTIONS,
                convert_options=pa_csv.ConvertOptions(
                    column_types=types, include_columns=wanted, null_values=[], check_utf8=False
                ),
            )
        except pa.ArrowInvalid:
            return None

    def _take(
        self, arrays: Rows, data: bytes, first: int, rows: list[Rows], rejected: list[Rejected]
    ) -> None:
        """Keep the good ones of the rows read; refuse the others with their text."""
        arrays["line"] = np.arange(first, first + len(arrays))
        reasons = _reasons(arrays)
        bad = np.flatnonzero(reasons)
        if len(bad):
            lines = data.split(b"\n")
            for index in bad.tolist():
                reason = _ORDERED[reasons[index]]
                rejected.append(Rejected(first + index, reason, shown(lines[index])))
            arrays = arrays[reasons == 0]
        arrays["volume"] += 0.0  # makes a minus zero plain
        rows.append(arrays)

    def _slow(self, data: bytes, first: int, rows: list[Rows], rejected: list[Rejected]) -> None:
        good = []
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), first):
            if line.strip():  # an empty line is no row
                found = parse_line(line, self._layout, number)
                if isinstance(found, Rejected):
                    rejected.append(found)
                else:
                    good.append(found)
        rows.append(np.array(good, RAW))


_ORDERED: Final = (
    Reason.NUMBER,
    Reason.FINITE,
    Reason.PRICE,
    Reason.VOLUME,
    Reason.AMOUNT,
    Reason.TIME,
)


def _reasons(rows: Rows) -> NDArray[np.int8]:
    """For each row 0, or the index in `_ORDERED` of the first reason against it."""
    price, volume, time = rows["price"], rows["volume"], rows["time"]
    against = (
        ~(np.isfinite(price) & np.isfinite(volume)),
        price <= 0,
        volume < 0,
        ~_sound(price) | ~(_sound(volume) | (volume == 0)),
        (time < TIME_MIN_US) | (time >= TIME_MAX_US),
    )
    reasons = np.zeros(len(rows), np.int8)
    for index in range(len(against), 0, -1):  # the first one is written last
        reasons[against[index - 1]] = index
    return reasons


def _sound(amounts: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (amounts >= AMOUNT_MIN) & (amounts <= AMOUNT_MAX)


def _decimals(texts: Any, unit: TimeUnit) -> Any:
    """Times with fractions, exact to nanoseconds; None where Arrow cannot or must not read them.

    Arrow does not bound the exponent of a decimal: ``1e-99999999`` makes it read, and crash,
    far beyond its table of powers of ten. So texts with exponents are not given to it.
    """
    used = texts.buffers()[2]
    letters = used.to_pybytes() if used is not None else b""
    if b"e" in letters or b"E" in letters:
        return None
    if b" " in letters or b"\t" in letters:
        texts = pc.ascii_trim(texts, characters=" \t")
    try:
        return texts.cast(_NANOSECONDS[unit])
    except pa.ArrowInvalid:
        return None


def _microseconds(times: Any, unit: TimeUnit) -> NDArray[np.int64]:
    """Times of Arrow, whole ones of a unit or decimals of nanoseconds, as microseconds.

    Those that do not fit become -1, which is no time of a trade.
    """
    if times.type == pa.int64():
        whole = times.to_numpy()
        fits = (whole >= 0) & (whole < TIME_MAX_US // unit)
        return np.where(fits, whole * int(unit), -1)
    low_high = np.frombuffer(times.buffers()[1], np.int64).reshape(-1, 2)
    low_high = low_high[times.offset : times.offset + len(times)]
    fits = (low_high[:, 1] == 0) & (low_high[:, 0] >= 0)
    return np.where(fits, low_high[:, 0] // 1000, -1)


def _line_count(data: bytes) -> int:
    if not data:
        return 0
    # bytes.count takes six times as long.
    ends = int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))
    return ends + (not data.endswith(b"\n"))
