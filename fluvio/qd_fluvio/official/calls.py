"""Calls to a worker: each gets its own channel, and the frame that answers it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from qd_fluvio.errors import FluvioError
from qd_fluvio.official.process import Worker
from qd_fluvio.official.reach import Reach
from qd_fluvio.official.texts import typed_error
from qd_fluvio.worker.frames import Frame, Kind, json_frame


class Calls:
    """The calls of one worker that were not answered yet."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Frame]] = {}

    def number(self) -> int:
        """A channel that was never used before."""
        return next(self._numbers)

    async def call(
        self, worker: Worker, channel: int, doing: str, **fields: object
    ) -> dict[str, Any]:
        """Ask and wait for the answer; an error of the client becomes a typed one."""
        answer = asyncio.get_running_loop().create_future()
        self._open[channel] = answer
        try:
            worker.send(json_frame(Kind.CALL, channel, **self._reach.fields(), **fields))
            frame: Frame = await answer
        finally:
            self._open.pop(channel, None)
        if frame.kind is Kind.FAILED:
            raise typed_error(frame.json()["text"], doing, self._reach.cluster.endpoint)
        return frame.json()

    def take(self, frame: Frame) -> bool:
        """Give the frame to the call it answers; False if it answers none."""
        answer = self._open.get(frame.channel)
        if answer is None or frame.kind not in (Kind.RESULT, Kind.FAILED):
            return False
        if not answer.done():
            answer.set_result(frame)
        return True

    def lost(self, error: FluvioError) -> None:
        """The worker is gone: fail all that were not answered."""
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(error)
