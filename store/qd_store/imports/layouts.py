"""Which columns a file has: found from its first lines, refused where unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qd_store.errors import UnknownLayout
from qd_store.imports.lines import parse_line
from qd_store.imports.rows import Rejected, shown

SAMPLE_LINES_MAX: Final = 100
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file of trades.

    Attributes
    ----------
    name : str
        What users are told.
    columns : int
        How many a row has.
    time, price, volume : int
        Which ones matter, from 0.
    header : bool
        Whether the first line names them.
    """

    name: str
    columns: int
    time: int
    price: int
    volume: int
    header: bool


_PLAIN: Final = Layout("unix_ts,price,volume without a header", 3, 0, 1, 2, header=False)

_HEADERS: Final = (
    "timestamp,price,volume",
    "timestamp,price,amount",
    "time,price,volume",
    "unix_ts,price,volume",
    "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID",
)


def _with_header(header: str) -> Layout:
    names = header.lower().split(",")
    time = next(i for i, name in enumerate(names) if name in ("timestamp", "time", "unix_ts"))
    volume = next(i for i, name in enumerate(names) if name in ("volume", "amount"))
    return Layout(header, len(names), time, names.index("price"), volume, header=True)


_BY_HEADER: Final = {tuple(text.lower().split(",")): _with_header(text) for text in _HEADERS}


def detect(first_block: bytes, name: str) -> Layout:
    """Find the layout of a file.

    A header must be a known one. At least half of the first lines must then be trades in
    its columns, so that a broken line (such as a half one at the start) does not matter.

    Parameters
    ----------
    first_block : bytes
        Whole lines from the file's start.
    name : str
        The file, for the error.

    Raises
    ------
    UnknownLayout
        Neither a known header nor rows of a known layout.
    """
    lines = first_block.removeprefix(_BOM).split(b"\n", SAMPLE_LINES_MAX + 1)[:SAMPLE_LINES_MAX]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return _PLAIN
    cells = tuple(cell.strip().strip(b'"').lower() for cell in lines[0].split(b","))
    layout = _BY_HEADER.get(tuple(cell.decode("utf-8", "replace") for cell in cells))
    if layout is None and not _names_columns(cells):
        layout = _PLAIN
    if layout is None or not _fits(layout, lines):
        raise UnknownLayout(_refusal(lines, name))
    return layout


def _names_columns(cells: tuple[bytes, ...]) -> bool:
    """Whether a first line looks like a header, known or not."""
    return len(cells) > 1 and all(cell[:1].isalpha() for cell in cells)


def _fits(layout: Layout, lines: list[bytes]) -> bool:
    rows = lines[1:] if layout.header else lines
    columns = (layout.columns, layout.time, layout.price, layout.volume)
    good = sum(not isinstance(parse_line(line, columns, 1), Rejected) for line in rows)
    return 2 * good >= len(rows)


def _refusal(lines: list[bytes], name: str) -> str:
    last = f", line {len(lines)} is {shown(lines[-1])[:120]!r}" if len(lines) > 1 else ""
    known = "; ".join((_PLAIN.name, *_HEADERS))
    return (
        f"{name} has unknown columns: line 1 is {shown(lines[0])[:120]!r} "
        f"({lines[0].count(b',') + 1} columns){last}; known are: {known}; times in seconds "
        "since 1970, whole or with a fraction"
    )
