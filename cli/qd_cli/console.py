"""How the command prints: tables and colours on a terminal, plain lines in a pipe, JSON.

Results go to standard output, everything about the way there to standard error.
"""

from __future__ import annotations

import enum
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

from qd_cli.errors import OutputClosed, RequestRefused

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

PLAIN_WIDTH = 500
"""Columns of a table that is not on a terminal, so that nothing is cut."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KIB = 1024
_HEADING_MIN = 4
_COLUMN_GAP = 3  # between two columns of a table on a terminal
_NARROW_GAP = 2  # where that leaves too little room
_DURATIONS = (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1))


def console(*, stderr: bool = False) -> Console:
    """Make a console for standard output or standard error."""

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return _quiet_console()(stderr=stderr, width=width, highlight=False)


def _quiet_console() -> type[Console]:
    from rich.console import Console

    class Quiet(Console):
        """A console that lets a closed pipe end the command, as it does everywhere else."""

        def on_broken_pipe(self) -> None:
            raise OutputClosed from None

    return Quiet


def is_narrower(columns: int) -> bool:
    """Whether standard output is a terminal of less than so many columns."""
    return sys.stdout.isatty() and console().width < columns


def say(text: str) -> None:
    """Tell a person something on standard error; see `out`."""
    _print(text, sys.stderr)


def out(text: str) -> None:
    """Write a line, or several, to standard output at once.

    Raises
    ------
    OutputClosed
        Nobody reads it any more.
    """
    _print(text, sys.stdout)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        raise OutputClosed from None


def out_bytes(data: bytes) -> None:
    """Write bytes to standard output at once, as they are.

    Raises
    ------
    OutputClosed
        Nobody reads it any more.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def confirm(question: str) -> None:
    """Ask a yes-or-no question; anything but yes ends the command.

    Raises
    ------
    RequestRefused
        The answer was no, or there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise RequestRefused(f"{question} There is no terminal to answer on: give --yes")
    import typer

    if not typer.confirm(question, err=True):
        raise RequestRefused("nothing was changed")


def print_json(value: Mapping[str, Any]) -> None:
    """Write one JSON line to standard output at once."""
    out(json_line(value))


def json_line(value: Mapping[str, Any]) -> str:
    """Encode one object as a line; what is not finite becomes null, as JSON has no NaN."""
    return json.dumps({key: _plain(item) for key, item in value.items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> None:
    """Print a table on a terminal, or aligned plain lines elsewhere.

    Cells are never cut: where a terminal is too narrow, gaps and headings are, and then lines are
    folded.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequence of str
        Cells; markup in them is not interpreted.
    right : iterable of str
        Headings of the columns that are aligned to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    on_terminal = sys.stdout.isatty()
    screen = console()
    cells = [[Text(cell) for cell in row] for row in rows]
    data = [max((row[i].cell_len for row in cells), default=0) for i in range(len(columns))]
    whole = [max(len(name), width) for name, width in zip(columns, data, strict=True)]
    is_wide = not on_terminal or sum(whole) + _COLUMN_GAP * len(columns) <= screen.width
    gap = _COLUMN_GAP if is_wide else _NARROW_GAP
    widths = whole if is_wide else _widths(columns, data, screen.width - gap * len(columns))
    table = Table(box=box.SIMPLE_HEAD if on_terminal and is_wide else None, pad_edge=False)
    for name, width in zip(columns, widths, strict=True):
        shown = name if len(name) <= width else f"{name[: width - 1]}…"
        justify: JustifyMethod = "right" if name in set(right) else "left"
        table.add_column(shown, justify=justify, no_wrap=True, width=width)
    for row in cells:
        table.add_row(*row)
    # A terminal folds a line that is too long; rich would cut it.
    screen.width = max(screen.width, sum(widths) + gap * len(columns))
    if on_terminal:
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    out("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _widths(columns: Sequence[str], data: Sequence[int], room: int) -> list[int]:
    """The columns' widths: all of the data, and as much of the headings as there is room for."""
    widths = [
        max(width, min(len(name), _HEADING_MIN)) for name, width in zip(columns, data, strict=True)
    ]
    for index, name in enumerate(columns):
        wider = min(max(0, len(name) - widths[index]), max(0, room - sum(widths)))
        widths[index] += wider
    return widths


def iso_time(microseconds: int) -> str:
    """Write microseconds since the epoch as ISO 8601 in UTC, as short as is exact."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def parse_time(text: str) -> int:
    """Read an ISO date or time (UTC unless it says otherwise) as microseconds.

    Raises
    ------
    ValueError
        It is no ISO time.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def number(value: float) -> str:
    """Write a price or volume as the shortest decimal that is exactly this float."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    text = repr(value)
    if "e" in text:
        text = format(_decimal(text), "f")
    return text.removesuffix(".0")


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def count(value: int, what: str = "") -> str:
    """Write a count with separators of thousands, and of what: ``1,000 rows``, ``1 row``."""
    return f"{value:,} {what}{'' if value == 1 else 's'}" if what else f"{value:,}"


def rate(value: float, what: str = "") -> str:
    """Write a rate per second, short: ``1.25 M rows/s``."""
    if value >= 1e6:
        text = f"{value / 1e6:.2f} M"
    elif value >= 1e3:
        text = f"{value / 1e3:.1f} k"
    else:
        text = f"{value:.0f} "
    return f"{text} {what}/s".replace("  ", " ").replace(" /s", "/s")


def mebibytes(value: int | None) -> str:
    """Write bytes as MiB."""
    return "-" if value is None else f"{value / _KIB / _KIB:,.0f} MiB"


def duration(seconds: float | None) -> str:
    """Write a duration as people read it."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{int(seconds)}s"
    for unit, size, next_unit, next_size in _DURATIONS:
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            tail = f" {rest // next_size}{next_unit}" if rest >= next_size else ""
            return f"{whole}{unit}{tail}"
    return f"{seconds:.0f}s"
