"""The way of ``qd import`` without a terminal: a line now and then, as suits a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qd_cli import console
from qd_cli.imports import ImportMeter

INTERVAL_SECONDS: Final = 30.0


class ImportLines:
    """Says at once how much there is to do, then how far it is, and when it is the bars' turn.

    Parameters
    ----------
    meter : ImportMeter
        What is told.
    verb : str
        What is done to the files, such as ``importing``.
    clock : callable
        Seconds that rise.
    """

    def __init__(self, meter: ImportMeter, verb: str, clock: Callable[[], float]) -> None:
        self._meter = meter
        self._verb = verb
        self._clock = clock
        self._due = clock()
        self._bars = False

    def show(self) -> None:
        """Write a line to standard error where one is due."""
        turn = self._meter.refresh is not None and not self._bars
        if not self._meter.files_total or (self._clock() < self._due and not turn):
            return
        self._bars |= turn
        self._due = self._clock() + INTERVAL_SECONDS
        console.say(self._line())

    def _line(self) -> str:
        meter = self._meter
        if meter.refresh is not None:
            done = meter.refresh.done
            share = _share(done, meter.refresh.total)
            return f"making bars: {share}, of {console.count(done)} trades"
        total = console.count(meter.files_total)
        share = _share(meter.bytes_done, meter.bytes_total)
        if not meter.files:
            what = "file" if meter.files_total == 1 else "files"
            return f"{self._verb} {total} {what}, {console.mebibytes(meter.bytes_total)}"
        return (
            f"{self._verb}: file {console.count(meter.files)} of {total}, {share}, "
            f"{console.count(meter.rows)} rows, {console.rate(meter.rows_per_second, 'rows')}"
        )


def _share(done: int, total: int) -> str:
    return f"{min(100 * done // max(total, 1), 100)} %"
