"""A consumer of the official client that is closed while it tries to come back: it just ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from qd_fluvio import ClusterUnreachable, FluvioError, Isolation, Limits, Offset
from qd_fluvio.control import Bounds, ControlPlane
from qd_fluvio.official.consumer import OfficialConsumer
from qd_fluvio.official.process import Worker
from qd_fluvio.official.reach import Reach
from qd_fluvio.servers import Address
from qd_fluvio.worker.frames import Frame
from qd_schemas.specs import FluvioSettings

BOUNDS = Bounds(0, 0, Address("127.0.0.1:2", "spu"))


class Mute:
    """A worker that says nothing."""

    on_lost: Callable[[], None]

    def send(self, data: bytes) -> None:
        pass

    def kill(self) -> None:
        pass


class Cluster:
    """A control plane that answers once, and then when a test says how."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers: asyncio.Queue[Bounds | FluvioError] = asyncio.Queue()
        self.answers.put_nowait(BOUNDS)

    async def bounds(self, topic: str, partition: int) -> Bounds:
        if self.answers.empty():
            self.asked.set()
        answer = await self.answers.get()
        if isinstance(answer, FluvioError):
            raise answer
        return answer


@pytest.mark.parametrize("answer", [BOUNDS, ClusterUnreachable("gone"), FluvioError("refused")])
async def test_who_reads_while_it_is_closed_sees_the_end(answer: Bounds | FluvioError) -> None:
    cluster, workers = Cluster(), [Mute()]

    async def start_worker(on_frame: Callable[[Frame], None]) -> Worker:
        if not workers:
            raise FluvioError("the connection is closed")
        return cast(Worker, workers.pop())

    (worker,) = workers
    consumer = OfficialConsumer(
        "a",
        0,
        control=cast(ControlPlane, cluster),
        start_worker=start_worker,
        limits=Limits(reconnect_seconds=0.1),
        reach=Reach(FluvioSettings("127.0.0.1:1")),
        consumer_id=None,
        isolation=Isolation.READ_UNCOMMITTED,
    )
    await consumer.start(Offset.beginning())
    reading = asyncio.ensure_future(anext(consumer))
    worker.on_lost()
    await cluster.asked.wait()
    consumer.close()
    cluster.answers.put_nowait(answer)
    with pytest.raises(StopAsyncIteration):
        await reading
