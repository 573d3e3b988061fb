"""Which columns a file has: found from its first lines, refused where unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from qd_store.errors import UnknownLayout
from qd_store.exchanges import EXCHANGES, ExchangeAdapter, Layout
from qd_store.imports.lines import parse_line
from qd_store.imports.rows import Rejected, shown

SAMPLE_LINES_MAX: Final = 100
_BOM: Final = b"\xef\xbb\xbf"
_TEXT_CHARS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class _Fit:
    """A layout, with how many of the first lines are trades in its columns."""

    layout: Layout
    good: int


def detect(first_block: bytes, name: str, exchange: ExchangeAdapter) -> Layout:
    """Find the layout of a file.

    A header must be a known one. At least half of the first lines must then be trades in
    its columns, so that a broken line (such as a half one at the start) does not matter.

    Parameters
    ----------
    first_block : bytes
        Whole lines from the file's start.
    name : str
        The file, for the error.
    exchange : ExchangeAdapter
        Whose layouts are looked for.

    Raises
    ------
    UnknownLayout
        Neither a known header nor rows of a known layout.
    """
    lines = first_block.removeprefix(_BOM).split(b"\n", SAMPLE_LINES_MAX + 1)[:SAMPLE_LINES_MAX]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return exchange.layouts[0]
    found = _best(lines, exchange)
    if found is None:
        raise UnknownLayout(_refusal(lines, name, exchange))
    return replace(found, fractions=_has_fractions(lines, found))


def _best(lines: Sequence[bytes], exchange: ExchangeAdapter) -> Layout | None:
    """The layout of an exchange in which most of the lines are trades, and at least half."""
    names = _cells(lines[0])
    headers = [each for each in exchange.layouts if each.header and _cells(_header(each)) == names]
    if not headers and _names_columns(names):
        return None
    candidates = headers or [each for each in exchange.layouts if not each.header]
    rows = lines[1:] if headers else lines
    fits = [_Fit(layout, _good(rows, layout)) for layout in candidates]
    best = max(fits, key=lambda fit: fit.good)
    return best.layout if 2 * best.good >= len(rows) else None


def _header(layout: Layout) -> bytes:
    return layout.name.encode()


def _cells(line: bytes) -> tuple[bytes, ...]:
    return tuple(cell.strip().strip(b'"').lower() for cell in line.split(b","))


def _names_columns(cells: tuple[bytes, ...]) -> bool:
    """Whether a first line looks like a header, known or not."""
    return len(cells) > 1 and all(cell[:1].isalpha() for cell in cells)


def _good(rows: Sequence[bytes], layout: Layout) -> int:
    return sum(not isinstance(parse_line(line, layout, 1), Rejected) for line in rows)


def _has_fractions(lines: Sequence[bytes], layout: Layout) -> bool:
    cells = (line.split(b",") for line in lines[layout.header :])
    return any(b"." in row[layout.time] for row in cells if len(row) == layout.columns)


def _refusal(lines: Sequence[bytes], name: str, exchange: ExchangeAdapter) -> str:
    last = f", line {len(lines)} is {_quoted(lines[-1])}" if len(lines) > 1 else ""
    text = (
        f"{name} has unknown columns: line 1 is {_quoted(lines[0])} "
        f"({lines[0].count(b',') + 1} columns){last}; "
    )
    others = [each for each in EXCHANGES if each.name != exchange.name and _best(lines, each)]
    if others:
        return f"{text}these are columns of {others[0].name}, not of {exchange.name}"
    known = "; ".join(each.text for each in exchange.layouts)
    return f"{text}known for {exchange.name} are: {known}; with or without fractions"


def _quoted(line: bytes) -> str:
    return repr(shown(line)[:_TEXT_CHARS_MAX])
