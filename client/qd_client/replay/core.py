"""A replay's decisions: what comes next, and when. Sans-IO: arrays and times in, events out.

Nothing here reads a stream or a clock. The order is time, then the order in which the markets
were given, then that within a market; `marks` says what comes when an interval ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from qd_client.errors import UsageError
from qd_client.replay.clock import ReplayClock
from qd_client.replay.events import Bars, IntervalEnd, Market, ReplayEvent, Slice, Times
from qd_client.replay.marks import Marks, changes
from qd_client.replay.merge import Merged, Merger
from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution


class ReplayCore:
    """One replay.

    Parameters
    ----------
    markets : sequence of Trades or Bars
        What is replayed.
    end : int or None
        Microseconds since the epoch; a bar that closes later is left out.
    pace : float
        0 as fast as possible, 1 real time, N times real time.
    every : Resolution or None
        Which intervals' ends are marked.

    Attributes
    ----------
    wake_at : float or None
        After `take` gave None: when to ask again; None where only more rows, or a command,
        can change the answer.
    """

    def __init__(
        self,
        markets: Sequence[Market],
        *,
        end: int | None = None,
        pace: float = 0.0,
        every: Resolution | None = None,
    ) -> None:
        self._markets = tuple(markets)
        self._end = end
        self._every = every
        self._clock = ReplayClock(pace)
        self._steps = 0  # rows that may still come though it is paused
        self._is_paused = False
        self.reset()

    def reset(self) -> None:
        """Forget all rows, for others to come: also earlier ones."""
        self._merger = Merger(len(self._markets))
        self._marks = Marks(self._every)
        self._rows: list[tuple[Rows, Times]] = [_NOTHING] * len(self._markets)
        self._queue: deque[ReplayEvent] = deque()
        self._offset = 0  # rows of the first slice that were given
        self._clock.forget()
        self._last: ReplayEvent | int | None = None
        self.wake_at: float | None = None

    # --- rows in ----------------------------------------------------------------------

    @property
    def hungry(self) -> list[int]:
        """The markets, by number, without whose rows nothing more can be given."""
        return [] if self._queue else self._merger.hungry

    def feed(self, market: int, rows: Rows) -> None:
        """Take a hungry market's next rows."""
        asked = self._markets[market]
        times = asked.times_of(rows)
        if self._end is not None and isinstance(asked, Bars):
            times = times[: np.searchsorted(times, self._end, "right")]
        self._rows[market] = rows[: len(times)], times
        self._merger.feed(market, self._marks.keys_of(asked, times))

    def end(self, market: int) -> None:
        """A market has no more rows."""
        self._merger.end(market)

    @property
    def is_ended(self) -> bool:
        """True where all rows and marks were given."""
        return not self._queue and self._merger.is_done and not self._fill()

    # --- control ----------------------------------------------------------------------

    @property
    def time(self) -> int | None:
        """When the last row or mark that was given happened."""
        if isinstance(self._last, Slice):
            return int(self._last.times[-1])
        return self._last.end if isinstance(self._last, IntervalEnd) else self._last

    @property
    def pace(self) -> float:
        """Market seconds in a second."""
        return self._clock.pace

    @property
    def is_paused(self) -> bool:
        """True where nothing more comes until it is resumed or stepped."""
        return self._is_paused and not self._steps

    def pause(self, now: float) -> None:
        """Give nothing more."""
        self._is_paused, self._steps = True, 0
        self._clock.stop(now)

    def resume(self, now: float) -> None:
        """Go on."""
        self._is_paused, self._steps = False, 0
        self._clock.start(now)

    def step(self, count: int, now: float) -> None:
        """Give so many rows, whenever they are due, and pause.

        Raises
        ------
        UsageError
            The count is less than 1.
        """
        if count < 1:
            raise UsageError(f"step is given {count}; expected 1 row or more")
        self.pause(now)
        self._steps = count

    def set_pace(self, pace: float, now: float) -> None:
        """Go on at another pace."""
        time = self.time
        if not self.pace and time is not None:
            self._clock.jump(time, now)  # which nothing has moved at pace 0
        self._clock.set_pace(pace, now)

    def put_back(self, events: Sequence[ReplayEvent]) -> None:
        """Take back the events that were given last, which nobody has seen yet."""
        if not events:
            return
        if self._offset:
            self._queue[0] = _cut(self._first_slice(), self._offset, None)
            self._offset = 0
        self._queue.extendleft(reversed(events))
        self._last = events[0].time
        if self._is_paused:
            self._steps += sum(len(event.rows) for event in events if isinstance(event, Slice))

    # --- events out -------------------------------------------------------------------

    def take(self, now: float, rows_max: int | None = None) -> ReplayEvent | None:
        """Give the next event, if it is due.

        Parameters
        ----------
        now : float
            The present, in seconds.
        rows_max : int, optional
            How many rows a slice may have.
        """
        self.wake_at = None
        if (self._is_paused and not self._steps) or not (self._queue or self._fill()):
            return None
        if not (self._clock.pace or self._offset or self._is_paused or rows_max):
            self._last = self._queue.popleft()
            return self._last
        head = self._queue[0]
        if isinstance(head, IntervalEnd):
            return self._taken_mark() if self._is_mark_due(head, now) else None
        count = self._due_rows(head, now)
        if not count:
            return None
        if rows_max is not None:
            count = min(count, rows_max)
        return self._taken(head, count, now)

    def _is_mark_due(self, mark: IntervalEnd, now: float) -> bool:
        # The last one waits for nothing: there is nothing after it.
        is_last = len(self._queue) == 1 and self._merger.is_done
        return bool(self._steps) or not self.pace or is_last or self._is_due(mark.end, now)

    def _is_due(self, time: int, now: float) -> bool:
        self._clock.begin(time, now)
        due = self._clock.due(time)
        if due > now:
            self.wake_at = due
        return due <= now

    def _due_rows(self, head: Slice, now: float) -> int:
        left = len(head.times) - self._offset
        if self._steps:
            return min(left, self._steps)
        if not self.pace:
            return left
        times = head.times[self._offset :]
        if not self._is_due(int(times[0]), now):
            return 0
        return max(1, int(np.searchsorted(times, int(self._clock.market_us(now)), "right")))

    def _taken(self, head: Slice, count: int, now: float) -> Slice:
        begin, end = self._offset, self._offset + count
        if end == len(head.times):
            self._queue.popleft()
            self._offset = 0
        else:
            self._offset = end
        taken = head if count == len(head.times) else _cut(head, begin, end)
        self._last = taken
        if self._steps:
            self._steps -= count
            self._clock.jump(int(taken.times[-1]), now)
        return taken

    def _taken_mark(self) -> ReplayEvent:
        self._last = self._queue.popleft()
        return self._last

    def _first_slice(self) -> Slice:
        head = self._queue[0]
        assert isinstance(head, Slice)
        return head

    def _fill(self) -> bool:
        """Merge what can be merged into the queue; False where nothing comes of it."""
        merged = self._merger.merge()
        if merged is not None:
            self._queue.extend(self._events(merged))
        elif self._merger.is_done:
            self._queue.extend(self._marks.rest())
        return bool(self._queue)

    def _events(self, merged: Merged) -> list[ReplayEvent]:
        events: list[ReplayEvent] = []
        ends = self._marks.ends_of(merged.keys)
        places = [0] * len(self._markets)
        interval = None
        for market, begin, end in merged.runs(changes(ends)):
            if ends is not None and ends[begin] != interval:
                interval = int(ends[begin])
                events += self._marks.before(interval)
            first, rows_times = places[market], self._rows[market]
            places[market] = last = first + end - begin
            rows, times = rows_times
            events.append(Slice(self._markets[market], rows[first:last], times[first:last]))
        self._rows = [
            (rows[place:], times[place:])
            for place, (rows, times) in zip(places, self._rows, strict=True)
        ]
        return events


def _cut(whole: Slice, begin: int, end: int | None) -> Slice:
    return Slice(whole.market, whole.rows[begin:end], whole.times[begin:end])


_NOTHING: tuple[Rows, Times] = (np.empty(0, np.dtype([("time", "<i8")])), np.empty(0, np.int64))
