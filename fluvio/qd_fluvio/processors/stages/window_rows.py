"""Tumbling windows over arrays of rows: one call of the user's function a window and batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors.rows import Batch, RowsCodec, read
from qd_fluvio.processors.stages.windows import Window, WindowSpec, WindowStage
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of


class RowWindows(WindowStage):
    """The open windows of one partition; see `Stage`."""

    def __init__(self, step: str, spec: WindowSpec) -> None:
        assert isinstance(spec.codec, RowsCodec)
        super().__init__(step, spec)
        self._codec = spec.codec

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        batch = read(self._codec, items)
        fed = Fed([], [Failure(item, self._step, reason) for item, reason in batch.refused])
        if not len(batch.rows):
            return fed
        times = np.ascontiguousarray(batch.rows["time"])
        late, newest = self._late(times)
        try:
            folded = self._folded(batch, times, late)
        except Exception as error:
            if len(batch.items) == 1:
                fed.failures.append(Failure(batch.items[0], self._step, reason_of(error)))
                return fed
            return self._one_by_one(items)
        for start, value in folded:
            self._windows.put(start, None, value)
        self._windows.advance(int(newest[-1]))
        fed.failures += self._late_failures(batch, late)
        marks = newest - self._spec.lateness_us
        for window in self._windows.take_over():
            self._give(window, _cause(batch, marks, window), fed)
        return fed

    def _one_by_one(self, items: Sequence[Item]) -> Fed:
        fed = Fed()
        for item in items:
            alone = self.feed([item])
            fed.items += alone.items
            fed.failures += alone.failures
        return fed

    def _late(self, times: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which rows are late when they come, and the newest time after each row."""
        first = int(times[0]) if self._windows.newest is None else self._windows.newest
        newest: NDArray[np.int64] = np.maximum(np.maximum.accumulate(times), first)
        before = np.concatenate(([first], newest[:-1])) - self._spec.lateness_us
        width = self._spec.width_us
        late: NDArray[np.bool_] = times // width * width + width <= before
        return late, newest

    def _folded(
        self, batch: Batch, times: NDArray[np.int64], late: NDArray[np.bool_]
    ) -> list[tuple[int, object]]:
        """The accumulators of the windows that get rows; the state is not touched."""
        width = self._spec.width_us
        starts = times // width * width
        order = np.argsort(starts, kind="stable")
        order = order[~late[order]]
        cuts = np.flatnonzero(np.diff(starts[order])) + 1
        folded: list[tuple[int, object]] = []
        for part in np.split(order, cuts) if len(order) else []:
            start = int(starts[part[0]])
            value = self._spec.function(self._windows.current(start, None), batch.rows[part])
            folded.append((start, value))
        return folded

    def _late_failures(self, batch: Batch, late: NDArray[np.bool_]) -> list[Failure]:
        if not late.any():
            return []
        rows = np.flatnonzero(late)
        owners, counts = np.unique(batch.item_of_row(rows), return_counts=True)
        totals = batch.counts
        return [
            Failure(
                batch.items[owner],
                self._step,
                f"late: {count} of its {totals[owner]} rows belong to windows that were given out",
            )
            for owner, count in zip(owners.tolist(), counts.tolist(), strict=True)
        ]


def _cause(batch: Batch, marks: NDArray[np.int64], window: Window) -> Item:
    """The item whose row moved the watermark to the window's end."""
    row = np.searchsorted(marks, window.end, side="left")
    return batch.items[int(batch.item_of_row(np.array([row]))[0])]
