"""A replay for programs without asyncio: the same events and the same control."""

from __future__ import annotations

import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

from qd_client.blocking import LoopThread
from qd_client.replay.events import IntervalEnd, ReplayEvent, Single, Slice
from qd_client.replay.replay import Replay
from qd_client.request import Time

AHEAD_MAX: Final = 256
"""Events that are fetched from the loop's thread at once: each time costs some 0.1 ms."""


class SyncReplay:
    """`Replay` whose calls wait; any thread may control it while another one iterates."""

    def __init__(self, thread: LoopThread, replay: Replay) -> None:
        self._thread = thread
        self._replay = replay
        self._ahead: deque[ReplayEvent] = deque()
        self._seen: ReplayEvent | None = None

    def __enter__(self) -> Self:
        self._thread.run(self._replay.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.run(self._replay.__aexit__(None, None, None))

    def __iter__(self) -> Iterator[ReplayEvent]:
        self._tell(lambda: None)
        return self._events(None)

    def events(self) -> Iterator[Single | IntervalEnd]:
        """Give trades and bars one by one: for convenience, not for speed."""
        self._tell(lambda: None)
        for event in self._events(1):
            if isinstance(event, Slice):
                yield from event.singles()
            else:
                yield event

    @property
    def time(self) -> int | None:
        """When the last event that was given happened, in microseconds since the epoch."""
        seen = self._seen
        return int(seen.times[-1]) if isinstance(seen, Slice) else seen and seen.end

    @property
    def pace(self) -> float:
        """0 as fast as possible, else market seconds in a second."""
        return self._replay.pace

    @property
    def is_paused(self) -> bool:
        """True where nothing comes until `resume` or `step`."""
        return self._replay.is_paused and not self._ahead

    @property
    def is_ended(self) -> bool:
        """True where all was given; until a `seek`."""

        async def ended() -> bool:  # in the thread of the replay, which another one may be using
            return self._replay.is_ended

        return not self._ahead and self._thread.run(ended())

    def pause(self) -> None:
        """Give nothing more; the clock stands still, and the gateway soon sends no more."""
        self._tell(self._replay.pause)

    def resume(self) -> None:
        """Go on from where it was paused."""
        self._tell(self._replay.resume)

    def step(self, count: int = 1) -> None:
        """Give the next `count` trades and bars at once, with the marks among them; then pause."""
        self._tell(self._replay.step, count)

    def set_pace(self, pace: float) -> None:
        """Go on at another pace: 0 as fast as possible, 1 real time, N times real time."""
        self._tell(self._replay.set_pace, pace)

    def seek(self, time: Time) -> None:
        """Go on from another time, earlier or later; what was not given yet is dropped."""
        self._tell(self._replay.seek, time)
        self._seen = None

    def _events(self, rows_max: int | None) -> Iterator[ReplayEvent]:
        while True:
            if not self._ahead:
                self._thread.run(self._replay.take_into(self._ahead, AHEAD_MAX, rows_max))
            try:
                event = self._ahead.popleft()
            except IndexError:  # the end; or a command of another thread took them back
                if self.is_ended:
                    return
                continue
            self._seen = event
            yield event

    def _tell(self, command: Callable[..., Any], *arguments: Any) -> None:
        """Give a command once the events that were fetched ahead are back."""

        async def tell() -> None:
            ahead: deque[ReplayEvent] = deque()
            # From the end, and without looking first: another thread may be taking the others.
            with contextlib.suppress(IndexError):
                while True:
                    ahead.appendleft(self._ahead.pop())
            self._replay.put_back(ahead)
            done = command(*arguments)
            if inspect.isawaitable(done):
                await done

        self._thread.run(tell())
