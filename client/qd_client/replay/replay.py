"""A replay that runs: streams in, events out when they are due. The core decides.

Waiting is for the streams' next arrays and for one timer of the loop; nothing is polled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Self, TypeAlias

from qd_client.errors import StreamsFull, UsageError
from qd_client.limits import REPLAY_BEGIN_SECONDS_MAX
from qd_client.replay.core import ReplayCore
from qd_client.replay.events import (
    IntervalEnd,
    Market,
    ReplayEvent,
    Single,
    Slice,
)
from qd_client.replay.feed import Feed
from qd_client.request import Range, Time, microseconds, resolution_of
from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution

OpenStream: TypeAlias = Callable[[Market, Time | None, Time | None], AsyncGenerator[Rows, None]]
"""Streams a market's rows of a range of time, as fast as they are taken."""


class Replay:
    """Markets' trades and bars in order of time; open it with ``async with``, then iterate.

    Iterating gives a `Slice` for rows of one market that follow each other, and, with `every`,
    an `IntervalEnd` where an interval is over. At equal times the order is that of the markets
    as they were given. Bars come at their close. What is not iterated is not sent: a replay
    holds two arrays for each market, whatever their length.

    Parameters
    ----------
    open_stream : callable
        Where rows come from; `QDClient.replay` gives the gateway's.
    markets : sequence of Trades or Bars
        What to replay.
    start, end : Time, optional
        The range: trades within it, bars that begin and close within it.
    pace : float
        0 as fast as possible, 1 real time, N times real time; from the first event on.
    every : Resolution or str, optional
        Mark the end of each such interval: ``1m`` to ``1y``, by the calendar of UTC.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        markets: Sequence[Market],
        *,
        start: Time | None = None,
        end: Time | None = None,
        pace: float = 0.0,
        every: Resolution | str | None = None,
    ) -> None:
        if not markets:
            raise UsageError("a replay of no market; give at least one")
        Range(start=start, end=end)  # refuses what makes no sense now
        self._open_stream = open_stream
        self._markets = tuple(markets)
        self._start, self._end = start, end
        self._core = ReplayCore(
            self._markets,
            end=None if end is None else microseconds(end),
            pace=pace,
            every=None if every is None else resolution_of(every),
        )
        self._feeds: list[Feed] = []
        self._seeking = asyncio.Lock()
        self._changed = asyncio.Event()
        self._is_open = False
        self._may_be_empty = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._open(self._start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._changed.set()
        await self._close()

    # --- control ----------------------------------------------------------------------

    @property
    def time(self) -> int | None:
        """When the last event that was given happened, in microseconds since the epoch."""
        return self._core.time

    @property
    def pace(self) -> float:
        """0 as fast as possible, else market seconds in a second."""
        return self._core.pace

    @property
    def is_paused(self) -> bool:
        """True where nothing comes until `resume` or `step`."""
        return self._core.is_paused

    @property
    def is_ended(self) -> bool:
        """True where all was given; until a `seek`."""
        return self._core.is_ended

    def pause(self) -> None:
        """Give nothing more; the clock stands still, and the gateway soon sends no more."""
        self._core.pause(self._now)
        self._changed.set()

    def resume(self) -> None:
        """Go on from where it was paused."""
        self._core.resume(self._now)
        self._changed.set()

    def step(self, count: int = 1) -> None:
        """Give the next `count` trades and bars at once, with the marks among them; then pause."""
        self._core.step(count, self._now)
        self._changed.set()

    def set_pace(self, pace: float) -> None:
        """Go on at another pace: 0 as fast as possible, 1 real time, N times real time."""
        self._core.set_pace(pace, self._now)
        self._changed.set()

    async def seek(self, time: Time) -> None:
        """Go on from another time, earlier or later; what was not given yet is dropped.

        A paused replay stays paused.

        Raises
        ------
        UsageError
            The time is not before the replay's end.
        """
        Range(start=time, end=self._end)
        async with self._seeking:
            try:
                await self._close()
            finally:  # also where this is cancelled: without streams it would wait for ever
                self._core.reset()
                self._may_be_empty = True
                if self._is_open:
                    self._open(time)
        self._changed.set()

    def put_back(self, events: Sequence[ReplayEvent]) -> None:
        """Take back events that were taken last and that nobody has seen yet."""
        self._core.put_back(events)

    # --- events -----------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReplayEvent:
        event = await self._next(None)
        if event is None:
            raise StopAsyncIteration
        return event

    async def events(self) -> AsyncGenerator[Single | IntervalEnd, None]:
        """Give trades and bars one by one: for convenience, not for speed."""
        while (event := await self._next(1)) is not None:
            if isinstance(event, Slice):
                for single in event.singles():
                    yield single
            else:
                yield event

    async def take_into(
        self, taken: deque[ReplayEvent], count: int, rows_max: int | None = None
    ) -> None:
        """Wait for an event; add it and those that are due now to `taken`, up to `count`.

        Nothing is added at the end, and nothing is lost where the wait is cancelled.
        """
        event = await self._next(rows_max)
        while event is not None:
            taken.append(event)
            if len(taken) >= count:
                return
            event = self._core.take(self._now, rows_max)

    async def _next(self, rows_max: int | None) -> ReplayEvent | None:
        """The next event when it is due; None at the end."""
        while True:
            self._check_open()
            event = self._core.take(self._now, rows_max)
            if event is not None:
                return event
            if self._feed():
                await asyncio.sleep(0)  # others of this loop have their turn, too
            elif self._core.is_ended:
                self._check_found()
                return None
            else:
                await self._change()

    def _check_open(self) -> None:
        if not self._is_open:
            raise UsageError("the replay is not open; use it inside `with`, or `async with`")

    async def _change(self) -> None:
        """Wait until something is due, arrives or is told.

        Raises
        ------
        StreamsFull
            Streams that the others wait for do not begin: those keep the places of these, and
            would for ever.
        """
        self._changed.clear()
        late = self._late()
        wake_at = self._core.wake_at
        timer = None
        if wake_at is not None:
            timer = asyncio.get_running_loop().call_at(wake_at, self._changed.set)
        try:
            async with asyncio.timeout(REPLAY_BEGIN_SECONDS_MAX if late else None):
                await self._changed.wait()
        except TimeoutError:
            raise StreamsFull(
                f"{len(late)} of the {len(self._markets)} streams of a replay, such as {late[0]}, "
                f"have not begun within {REPLAY_BEGIN_SECONDS_MAX:g} s, while the others wait for "
                "them: a gateway runs 16 of a client at once unless it is set to allow more "
                "(QD_GATEWAY_STREAMS_PER_CLIENT_MAX); replay fewer markets, or try again later"
            ) from None
        finally:
            if timer is not None:
                timer.cancel()

    def _late(self) -> list[Market]:
        """The markets without whose first rows nothing more comes, where others have begun."""
        has_begun = [feed.has_begun for feed in self._feeds]
        if self.is_paused or not any(has_begun):
            return []
        return [self._markets[market] for market in self._core.hungry if not has_begun[market]]

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # --- streams ----------------------------------------------------------------------

    def _open(self, start: Time | None) -> None:
        self._feeds = [
            Feed(self._open_stream(market, start, self._end), self._changed.set)
            for market in self._markets
        ]

    async def _close(self) -> None:
        feeds, self._feeds = self._feeds, []
        await asyncio.gather(*(feed.aclose() for feed in feeds))

    def _feed(self) -> bool:
        """Give the core what it waits for; False where nothing has come."""
        has_fed = False
        for market in self._core.hungry if self._feeds else ():
            feed = self._feeds[market]
            rows = feed.take()
            if rows is not None:
                self._core.feed(market, rows)
            elif feed.is_ended:
                if feed.error is not None and not feed.is_empty:
                    raise feed.error
                self._core.end(market)
            else:
                continue
            has_fed = True
        return has_fed

    def _check_found(self) -> None:
        """A market without rows in the range is none of a replay's errors, unless all are."""
        if self._may_be_empty or not all(feed.is_empty for feed in self._feeds):
            return
        for feed in self._feeds:
            if feed.error is not None:
                raise feed.error
