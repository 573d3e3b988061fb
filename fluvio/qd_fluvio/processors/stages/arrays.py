"""Steps without a state over whole arrays: one call of the user's function a batch.

Results go back to the records they came of, so they do not depend on the batch. Messages
that hold no rows, such as a stream's first and last, pass where rows come out as they went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.rows import Batch, RowsCodec, read
from qd_fluvio.processors.stages.making import checked_topic, made
from qd_fluvio.processors.values import Failure, Fed, Item, Stateless, reason_of

Apply = Callable[[Batch], list[Item]]
Function = Callable[..., Any]


class OverRows(Stateless):
    """Applies a function to all rows of a batch.

    Parameters
    ----------
    step : str
        The step's name.
    codec : RowsCodec
        Reads the items.
    apply : callable
        Gives what becomes of a batch. Where it raises, each item is tried by itself.
    """

    def __init__(self, step: str, codec: RowsCodec, apply: Apply) -> None:
        self._step = step
        self._codec = codec
        self._apply = apply

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        batch = read(self._codec, items)
        failures = [Failure(item, self._step, reason) for item, reason in batch.refused]
        try:
            return Fed(self._apply(batch), failures)
        except Exception as error:
            if len(batch.items) == 1:
                failures.append(Failure(batch.items[0], self._step, reason_of(error)))
                return Fed([], failures)
        fed = Fed()
        for item in items:
            alone = self.feed([item])
            fed.items += alone.items
            fed.failures += alone.failures
        return fed


def filtering(codec: RowsCodec, function: Function) -> Apply:
    """Keep the rows where the function's mask is True."""

    def apply(batch: Batch) -> list[Item]:
        mask = checked_mask(function(batch.rows), len(batch.rows), function)
        return kept_items(codec, batch, mask)

    return apply


def kept_items(codec: RowsCodec, batch: Batch, mask: NDArray[np.bool_]) -> list[Item]:
    """A batch's items with the rows of a mask alone; a whole item stays as it is."""
    sums = np.concatenate(([0], np.cumsum(mask)))
    counts = batch.counts
    kept = (sums[batch.ends] - sums[batch.ends - counts]).tolist()
    items: list[Item] = []
    ends = batch.ends.tolist()
    for item, count, left, end in zip(batch.items, counts.tolist(), kept, ends, strict=True):
        if left == count:
            items.append(item)
        elif left:
            rows = slice(end - count, end)
            items += _records(item, codec.encode(batch.rows[rows][mask[rows]]))
    return items


def _records(cause: Item, values: list[bytes]) -> list[Item]:
    return [cause._replace(key=None, value=value) for value in values]


def mapping(codec: RowsCodec, out: RowsCodec | Codec[Any], function: Function) -> Apply:
    """One row, or one value, for each row."""

    def apply(batch: Batch) -> list[Item]:
        count = len(batch.rows)
        values = checked_values(function(batch.rows), out, function)
        if len(values) != count:
            raise ValueError(f"{function.__name__} returned {len(values)} rows for {count}")
        return _made(batch, values, np.arange(count), out, passes=out is codec)

    return apply


def array_mapping(
    codec: RowsCodec, out: RowsCodec | Codec[Any], function: Function, *, once: bool
) -> Apply:
    """Any rows or values, each with the index of the row it came of.

    `once` allows a row to be named one time at most.
    """

    def apply(batch: Batch) -> list[Item]:
        given = function(batch.rows)
        if not isinstance(given, tuple) or len(given) != 2:
            raise TypeError(
                f"{function.__name__} returned {type(given).__name__}; expected "
                "(results, index of the row that each came of)"
            )
        values = checked_values(given[0], out, function)
        sources = _checked_sources(given[1], len(values), len(batch.rows), function, once=once)
        return _made(batch, values, sources, out, passes=out is codec)

    return apply


def dispatching(codec: RowsCodec, function: Function) -> Apply:
    """Rows to the topics that the function names for each; ``""`` is the default one."""

    def apply(batch: Batch) -> list[Item]:
        names = np.asarray(function(batch.rows))
        if names.shape != (len(batch.rows),) or names.dtype.kind != "U":
            raise TypeError(
                f"{function.__name__} returned {names.dtype} of shape {names.shape}; expected a "
                f"topic's name for each of {len(batch.rows)} rows"
            )
        items: list[Item] = []
        bounds = zip(batch.items, batch.counts.tolist(), batch.ends.tolist(), strict=True)
        for item, count, end in bounds:
            rows = slice(end - count, end)
            items += _dispatched(codec, item, batch.rows[rows], names[rows])
        return items

    return apply


def _dispatched(
    codec: RowsCodec, item: Item, rows: NDArray[np.void], names: NDArray[np.str_]
) -> list[Item]:
    if not len(rows):
        return [item]
    found, first = np.unique(names, return_index=True)
    if len(found) == 1:
        return [item._replace(topic=_topic(found[0], item))]
    items: list[Item] = []
    for name in found[np.argsort(first)]:
        values = codec.encode(rows[names == name])
        items += _records(item._replace(topic=_topic(name, item)), values)
    return items


def _topic(name: str, item: Item) -> str | None:
    return checked_topic(str(name)) if name else item.topic


def checked_mask(mask: Any, count: int, function: Function) -> NDArray[np.bool_]:
    """What a function over rows must give to choose among them."""
    found = np.asarray(mask)
    if found.dtype != np.bool_ or found.shape != (count,):
        raise TypeError(
            f"{function.__name__} returned {found.dtype} of shape {found.shape}; "
            f"expected a mask of {count} booleans"
        )
    return found


def checked_values(values: Any, out: RowsCodec | Codec[Any], function: Function) -> Any:
    """What a function over rows must give as results."""
    if isinstance(out, Codec):
        if isinstance(values, str | bytes | dict) or not hasattr(values, "__len__"):
            raise TypeError(f"{function.__name__} returned {type(values).__name__}, no list")
        return values
    if not isinstance(values, np.ndarray) or values.dtype != out.dtype:
        found = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{function.__name__} returned {found}; expected rows of {out.dtype}")
    return values


def _checked_sources(
    sources: Any, results: int, rows: int, function: Function, *, once: bool
) -> NDArray[np.intp]:
    found = np.asarray(sources)
    if found.shape != (results,) or (found.dtype.kind not in "iu" and results):
        raise TypeError(f"{function.__name__} gave {results} results, but not a row for each")
    found = found.astype(np.intp)
    steps = np.diff(found)
    if results and (found[0] < 0 or found[-1] >= rows or (steps < int(once)).any()):
        order = "in increasing order" if once else "in order"
        raise ValueError(f"{function.__name__}: expected indices of {rows} rows, {order}")
    return found


def _made(
    batch: Batch, values: Any, sources: NDArray[np.intp], out: RowsCodec | Codec[Any], passes: bool
) -> list[Item]:
    """Results as items of the items they came of."""
    owner = batch.item_of_row(sources)
    numbers = np.arange(len(batch.items))
    starts = np.searchsorted(owner, numbers, "left").tolist()
    ends = np.searchsorted(owner, numbers, "right").tolist()
    items: list[Item] = []
    bounds = zip(batch.items, starts, ends, batch.counts.tolist(), strict=True)
    for item, start, end, count in bounds:
        if not count and passes:
            items.append(item)
        elif start < end and isinstance(out, RowsCodec):
            items += _records(item, out.encode(values[start:end]))
        else:
            items += [made(item, value, out) for value in values[start:end]]  # type: ignore[arg-type]
    return items
