"""The worker that hosts producers: several, each on its own channel.

A worker that missed a deadline may hang for ever, so it gets no new work; it is killed as soon
as nobody else needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qd_fluvio.errors import FluvioError
from qd_fluvio.limits import Limits
from qd_fluvio.official.calls import Calls
from qd_fluvio.official.process import Worker
from qd_fluvio.official.producer import OfficialProducer
from qd_fluvio.official.reach import Reach
from qd_fluvio.official.texts import typed_error
from qd_fluvio.worker.frames import Frame, Kind, read_acked

Look = Callable[[], Awaitable[object]]
StartWorker = Callable[[Callable[[Frame], None]], Awaitable[Worker]]


class ProduceHost:
    """A worker with producers, each on its own channel and thread."""

    def __init__(self, reach: Reach) -> None:
        self._endpoint = reach.cluster.endpoint
        self._calls = Calls(reach)
        self._worker: Worker | None = None
        self._producers: dict[int, OfficialProducer] = {}
        self._opening = 0
        self._suspect = False

    @property
    def usable(self) -> bool:
        """Whether new producers may go here."""
        return not self._suspect and (self._worker is None or self._worker.alive)

    @property
    def in_use(self) -> bool:
        """Whether producers are open, or being opened."""
        return bool(self._producers or self._opening)

    def retire(self, bytes_max: int) -> None:
        """Take no new producers if the worker has grown over this size."""
        if self._worker is not None and self._worker.process.memory_bytes > bytes_max:
            self._suspect = True
            self._kill_if_done()

    @property
    def producers(self) -> list[OfficialProducer]:
        """The producers that are open."""
        return list(self._producers.values())

    async def start(self, start_worker: StartWorker) -> None:
        """Start the process."""
        self._worker = await start_worker(self._take)
        self._worker.on_lost = self._lost

    async def open(
        self,
        topic: str,
        partition: int,
        look: Look,
        doing: str,
        *,
        limits: Limits,
        compression: str | None,
    ) -> OfficialProducer:
        """Open a producer; when cancelled, the worker counts as hanging."""
        assert self._worker is not None
        channel = self._calls.number()
        self._opening += 1
        try:
            await self._calls.call(
                self._worker,
                channel,
                doing,
                role="produce",
                topic=topic,
                partition=partition,
                compression=compression,
                timeout_ms=int(limits.send_seconds * 1000),
            )
            if not self._worker.alive:  # it died as it answered
                raise self._worker.process.ended()
            producer = OfficialProducer(topic, look, channel, self._worker, limits, self._closed)
            self._producers[channel] = producer
            return producer
        except asyncio.CancelledError:
            self._suspect = True
            raise
        finally:
            self._opening -= 1
            self._kill_if_done()

    def kill(self) -> None:
        """End the worker at once; what was not acknowledged stays so."""
        if self._worker is not None:
            worker, self._suspect = self._worker, True
            worker.kill()
            self._fail_all(worker.process.ended())

    def _take(self, frame: Frame) -> None:
        if self._calls.take(frame):
            return
        producer = self._producers.get(frame.channel)
        if producer is None:
            return  # it was given up
        if frame.kind is Kind.ACKED:
            producer.acked(*read_acked(frame.body))
        else:
            doing = f"send to topic {producer.topic!r}"
            producer.failed(typed_error(frame.json()["text"], doing, self._endpoint))

    def _closed(self, producer: OfficialProducer, stuck: bool) -> None:
        self._producers = {n: p for n, p in self._producers.items() if p is not producer}
        self._suspect = self._suspect or stuck
        self._kill_if_done()

    def _kill_if_done(self) -> None:
        if self._suspect and not self.in_use:
            self.kill()

    def _lost(self) -> None:
        if self._worker is not None:
            self._fail_all(self._worker.process.ended())

    def _fail_all(self, error: FluvioError) -> None:
        self._calls.lost(error)
        for producer in self._producers.values():
            producer.failed(error)
