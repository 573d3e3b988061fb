"""Columns of observations as a plan's inputs: from names to arrays, or one table of all.

Reads and checks data; evaluates nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.errors import DataShapeError, DuplicateNode
from qd_analytics.causal.inputs import Columns, Input, Key
from qd_analytics.causal.plan import Plan
from qd_analytics.causal.reading import Column, Reading, Refused, Snapshot, checked
from qd_analytics.causal.sweep import Places

Matrix = npt.NDArray[np.float64]


class Names:
    """The columns of tables, in their order; make it once for tables of the same columns.

    Parameters
    ----------
    names : iterable of str or int
        Each once.
    """

    def __init__(self, names: Iterable[Key]) -> None:
        self.names = tuple(names)
        self._place = {name: at for at, name in enumerate(self.names)}
        if len(self._place) != len(self.names):
            twice = next(n for at, n in enumerate(self.names) if self._place[n] != at)
            raise DuplicateNode(f"the column {twice!r} is named twice; name each once")
        self._found: weakref.WeakKeyDictionary[Plan, Places] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.names)

    def places(self, plan: Plan) -> Places:
        """For each input of a plan its column, -1 where there is none; looked up once."""
        found = self._found.get(plan)
        if found is None:
            columns = [self._place.get(source, -1) for source in plan.inputs]  # type: ignore[arg-type]
            found = self._found[plan] = np.array(columns, dtype=np.intp)
        return found


class Table:
    """Many observations of many inputs in one array.

    Parameters
    ----------
    names : Names or iterable of str or int
        What each column is: data reach rules by name.
    values : array of float64, shape (observations, names)
        Not copied: do not change it afterwards.
    """

    def __init__(self, names: Names | Iterable[Key], values: Any) -> None:
        self.names = names if isinstance(names, Names) else Names(names)
        try:
            self.values: Matrix = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataShapeError(f"the table does not hold numbers: {error}") from None
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise DataShapeError(
                f"the table has the shape {self.values.shape}; "
                f"expected (observations, {len(self.names)}), a column for each name"
            )


class ReadColumns:
    """What a plan's inputs are, for many observations.

    Attributes
    ----------
    rows : int
        How many observations.
    """

    def __init__(self, plan: Plan, data: Columns | Table, snapshot: Snapshot) -> None:
        self._inputs = plan.inputs
        self._snapshot = snapshot
        self._columns: list[Column] | None = None
        self._matrix: Matrix | None = None
        self._all_finite = False
        if isinstance(data, Table):
            self.rows = len(data.values)
            self._matrix = data.values.T
            self._places = data.names.places(plan)
            self._all_finite = bool(np.isfinite(self._matrix).all())
        else:
            self.rows = _rows(data)
            self._columns = [
                snapshot[place] if place in snapshot else _column(source, data)
                for place, source in enumerate(plan.inputs)
            ]
        for known in snapshot.values():
            if isinstance(known, np.ndarray) and known.shape != (self.rows,):
                raise DataShapeError(
                    f"a context's column has the shape {known.shape}; expected ({self.rows},)"
                )

    def column(self, place: int) -> Column:
        """One input: an array of shape (rows,), one number for all, or why there is none."""
        if self._columns is not None:
            return self._columns[place]
        if place in self._snapshot:
            return self._snapshot[place]
        at = int(self._places[place])
        if at < 0:
            return _missing(self._inputs[place])
        assert self._matrix is not None  # one of both is there
        column: Matrix = self._matrix[at]
        return column

    def finite(self, place: int) -> npt.NDArray[np.bool_] | None:
        """Where an input may be read; None where that is everywhere."""
        column = self.column(place)
        if not isinstance(column, np.ndarray):
            return None
        if self._all_finite and place not in self._snapshot:
            return None
        finite = np.isfinite(column)
        return None if finite.all() else finite

    def block(self, places: Places) -> Matrix | None:
        """Inputs of shape (places, rows); None where one is no column of finite numbers."""
        if self._columns is not None:
            columns = [self._columns[place] for place in places.tolist()]
            if not all(isinstance(column, np.ndarray) for column in columns):
                return None
            block = np.stack(columns)
            return block if np.isfinite(block).all() else None
        assert self._matrix is not None  # one of both is there
        at = self._places[places]
        if (at < 0).any():  # of a context, or missing
            return None
        if np.array_equal(at, np.arange(at[0], at[0] + len(at))):
            block = self._matrix[at[0] : at[0] + len(at)]  # neighbours: no copy
        else:
            block = self._matrix[at]
        return block if self._all_finite or np.isfinite(block).all() else None

    def reading(self, place: int, row: int) -> Reading:
        """What one observation's rules read of an input."""
        column = self.column(place)
        if not isinstance(column, np.ndarray):
            return column
        return checked(self._inputs[place], float(column[row]))

    def __len__(self) -> int:
        return len(self._inputs)


class RowReadings(Sequence[Reading]):
    """What one observation's rules read, looked up when asked for."""

    def __init__(self, read: ReadColumns, row: int) -> None:
        self._read = read
        self._row = row

    def __len__(self) -> int:
        return len(self._read)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return tuple(self[at] for at in range(*place.indices(len(self))))
        if not 0 <= place < len(self):
            raise IndexError(f"input {place} of {len(self)}")
        return self._read.reading(place, self._row)


def _rows(columns: Columns) -> int:
    try:
        lengths = {np.shape(column) for column in columns.values()}
    except ValueError as error:
        raise DataShapeError(f"a column holds columns of its own: {error}") from None
    shape = lengths.pop() if len(lengths) == 1 else ()
    if len(shape) != 1:
        shapes = {str(name): np.shape(column) for name, column in columns.items()}
        raise DataShapeError(
            f"columns have the shapes {_few(shapes)}; "
            "expected one-dimensional columns of one length"
        )
    return int(shape[0])


def _few(shapes: dict[str, tuple[int, ...]]) -> str:
    """At most ten of them: a graph may read 100,000."""
    shown = ", ".join(f"{name}: {shape}" for name, shape in list(shapes.items())[:10])
    return shown + (" …" if len(shapes) > 10 else "") if shapes else "of no columns at all"


def _column(source: Input, columns: Columns) -> Column:
    if source not in columns:
        return _missing(source)
    try:
        return np.ascontiguousarray(columns[source], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataShapeError(f"the column {source!r} does not hold numbers: {error}") from None


def _missing(source: Hashable) -> Refused:
    return Refused(f"the data has no value for {source!r}")
