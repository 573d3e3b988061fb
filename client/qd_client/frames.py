"""Arrays of trades and bars as pandas, polars or Arrow tables, with times as times (UTC).

Each library is imported when it is first asked for. pandas looks at the array's own memory;
Arrow and polars keep columns apart, so each column is copied once, and polars shares Arrow's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from qd_client.errors import LibraryMissing, UsageError
from qd_schemas.arrays import Rows

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

FrameKind: TypeAlias = Literal["pandas", "polars", "arrow"]
"""The libraries that rows can be given to."""

_TIME: Final = "time"
_UNIT: Final = "datetime64[us]"


def to_pandas(rows: Rows) -> pandas.DataFrame:
    """Make a pandas DataFrame, whose columns are the array's own memory where it can be written.

    Parameters
    ----------
    rows : ndarray of TRADE or BAR
        Or any structured array; a column ``time`` is microseconds since the epoch, UTC.

    Returns
    -------
    pandas.DataFrame
        ``time`` is datetime64[us, UTC]. ``frame.copy()`` lays the columns out one by one,
        which makes long calculations faster.

    Raises
    ------
    LibraryMissing
        pandas is not installed.
    """
    pandas = _library("pandas")
    rows = rows if rows.flags.writeable else rows.copy()
    columns = {name: rows[name] for name in _names(rows)}
    if _TIME in columns:
        times = pandas.Series(columns[_TIME].view(_UNIT), copy=False)
        columns[_TIME] = times.dt.tz_localize("UTC")
    return pandas.DataFrame(columns, copy=False)


def to_arrow(rows: Rows) -> pyarrow.Table:
    """Make an Arrow table; ``time`` is timestamp[us, tz=UTC]. Parameters are `to_pandas`'s."""
    pyarrow = _library("pyarrow")
    columns = {name: np.ascontiguousarray(rows[name]) for name in _names(rows)}
    arrays = {name: pyarrow.array(column) for name, column in columns.items()}
    if _TIME in arrays:
        arrays[_TIME] = pyarrow.Array.from_buffers(
            pyarrow.timestamp("us", tz="UTC"), len(rows), [None, pyarrow.py_buffer(columns[_TIME])]
        )
    return pyarrow.table(arrays)


def to_polars(rows: Rows) -> polars.DataFrame:
    """Make a polars DataFrame; ``time`` is Datetime('us', 'UTC'). Parameters are `to_pandas`'s.

    Raises
    ------
    LibraryMissing
        polars is not installed.
    """
    library = _library("polars")
    frame: polars.DataFrame = library.from_arrow(to_arrow(rows))
    return frame


_MAKERS: Final[Mapping[str, tuple[str, Callable[[Rows], Any]]]] = {
    "pandas": ("pandas", to_pandas),
    "polars": ("polars", to_polars),
    "arrow": ("pyarrow", to_arrow),
}


def maker_of(kind: FrameKind | None) -> Callable[[Rows], Any]:
    """What makes a frame of rows; None leaves them as they are.

    Raises
    ------
    UsageError
        There is no such kind.
    LibraryMissing
        Its library is not installed: said before anything is read.
    """
    if kind is None:
        return lambda rows: rows
    if kind not in _MAKERS:
        raise UsageError(f"frame is {kind!r}; expected None or one of {', '.join(_MAKERS)}")
    library, make = _MAKERS[kind]
    _library(library)
    return make


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise LibraryMissing(
            f"{name} cannot be imported ({error}): install it beside qd, such as with "
            f"`pip install {name}`, or take the numpy arrays as they are"
        ) from None


def _names(rows: Rows) -> tuple[str, ...]:
    if rows.dtype.names is None:
        raise UsageError(
            f"an array of {rows.dtype} has no columns; expected rows of trades or bars"
        )
    return rows.dtype.names
