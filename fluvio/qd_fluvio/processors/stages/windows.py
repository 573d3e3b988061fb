"""What windows over single records and over rows share: which are open, late and over.

Event time is the records' own. The watermark is the newest event time of the partition minus
the allowed lateness: a window ``[start, end)`` is over when the watermark reaches its end, and
what belongs to a window that is over is late. Time without records does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from qd_fluvio.processors import plain
from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.rows import RowsCodec
from qd_fluvio.processors.stages.making import made
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of

OPEN_MAX: Final = 100_000
"""Windows (of all keys) that one processor keeps open."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window that is over: ``[start, end)`` in microseconds, its key and accumulator."""

    start: int
    end: int
    key: Any
    value: Any


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What a window is made of; see the decorator.

    Attributes
    ----------
    codec : Codec or RowsCodec
        Over rows, the function gets the rows of one window at a time, as they arrive.
    out : Codec
        Encodes results.
    function : callable
        (accumulator, value or rows) to the new accumulator.
    initial : object
        Where each window starts.
    width_us, lateness_us : int
        The windows' width, and how much older than the newest event one may be.
    time : callable or None
        A value's event time in microseconds; None is the record's time, or the rows'.
    key : callable or None
        A value's key (single records only); each key has windows of its own.
    result : callable or None
        What goes out for a window; None is an object of start, end, key and value.
    """

    codec: Codec[Any] | RowsCodec
    out: Codec[Any]
    function: Callable[[Any, Any], Any]
    initial: Any
    width_us: int
    lateness_us: int
    time: Callable[[Any], int] | None
    key: Callable[[Any], Hashable] | None
    result: Callable[[Window], Any] | None

    def given(self, window: Window) -> Any:
        """What goes out for a window."""
        if self.result is not None:
            return self.result(window)
        key = {} if self.key is None else {"key": window.key}
        return {"start": window.start, "end": window.end, **key, "value": window.value}


class OpenWindows:
    """The windows that are not over, and the newest event time."""

    def __init__(self, spec: WindowSpec) -> None:
        self._spec = spec
        self.newest: int | None = None
        self._open: dict[tuple[int, Any], Any] = {}
        self._first_end: int | None = None

    def start_of(self, time: int) -> int:
        """The start of the window that a time falls into."""
        return time // self._spec.width_us * self._spec.width_us

    @property
    def watermark(self) -> int | None:
        """Windows that end here or before are over; None before the first event."""
        return None if self.newest is None else self.newest - self._spec.lateness_us

    def is_over(self, start: int) -> bool:
        """Whether a window takes no more."""
        watermark = self.watermark
        return watermark is not None and start + self._spec.width_us <= watermark

    def current(self, start: int, key: Any) -> Any:
        """A window's accumulator, which the caller may change."""
        if (start, key) in self._open:
            return plain.copied(self._open[start, key])
        if len(self._open) >= OPEN_MAX:
            raise ValueError(f"a window more than {OPEN_MAX} would be open; make them fewer")
        return plain.copied(self._spec.initial)

    def put(self, start: int, key: Any, value: Any) -> None:
        """Keep a window's new accumulator."""
        self._open[start, key] = value
        end = start + self._spec.width_us
        self._first_end = end if self._first_end is None else min(self._first_end, end)

    def advance(self, time: int) -> None:
        """An event of this time was seen."""
        self.newest = time if self.newest is None else max(self.newest, time)

    def take_over(self, *, all_of_them: bool = False) -> list[Window]:
        """Remove and give the windows that are over, by start, then in the order of opening."""
        mark = self.watermark
        if not all_of_them and (mark is None or self._first_end is None or self._first_end > mark):
            return []
        over = sorted(
            (place for place in self._open if all_of_them or self.is_over(place[0])),
            key=lambda place: place[0],
        )
        width = self._spec.width_us
        windows = [
            Window(start, start + width, key, self._open.pop((start, key))) for start, key in over
        ]
        self._first_end = min((start + width for start, _ in self._open), default=None)
        return windows

    def snapshot(self) -> bytes:
        """The state."""
        return plain.encode([self.newest, self._open])

    def restore(self, state: bytes) -> None:
        """Take a state."""
        self.newest, self._open = plain.decode(state)
        width = self._spec.width_us
        self._first_end = min((start + width for start, _ in self._open), default=None)


class WindowStage:
    """What windows over records and over rows have in common: all of `Stage` but `feed`.

    Parameters
    ----------
    step : str
        Its name in failures.
    spec : WindowSpec
        Its windows.
    """

    def __init__(self, step: str, spec: WindowSpec) -> None:
        self._step = step
        self._spec = spec
        self._windows = OpenWindows(spec)

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """Give out all open windows."""
        fed = Fed()
        cause = Item(origin, timestamp_ms, None, b"")
        for window in self._windows.take_over(all_of_them=True):
            self._give(window, cause, fed)
        self._windows = OpenWindows(self._spec)
        return fed

    def snapshot(self) -> bytes:
        """See `Stage.snapshot`."""
        return self._windows.snapshot()

    def restore(self, state: bytes) -> None:
        """See `Stage.restore`."""
        self._windows.restore(state)

    def _give(self, window: Window, cause: Item, fed: Fed) -> None:
        """Give out a window that is over; where that fails, its cause fails with it."""
        try:
            fed.items.append(made(cause, self._spec.given(window), self._spec.out))
        except Exception as error:
            reason = f"the window {window.start} to {window.end} of key {window.key!r} is lost"
            fed.failures.append(Failure(cause, self._step, f"{reason}: {reason_of(error)}"))
