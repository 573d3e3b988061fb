"""Producers that open, fail and close in one turn of the loop: each is whole, or is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from qd_fluvio import ConnectionLost, FluvioError, Limits
from qd_fluvio.official.connection import _all_open
from qd_fluvio.official.hosts import ProduceHost
from qd_fluvio.official.process import Worker
from qd_fluvio.official.producer import OfficialProducer
from qd_fluvio.official.reach import Reach
from qd_fluvio.worker.frames import Frame, FrameDecoder, Kind
from qd_schemas.specs import FluvioSettings
from support.connections import until


class TalkedTo:
    """A worker that a test speaks for."""

    def __init__(self, on_frame: Callable[[Frame], None]) -> None:
        self.alive = True
        self.on_lost: Callable[[], None] = lambda: None
        self.calls: list[int] = []
        self._on_frame = on_frame
        self.process = self

    def send(self, data: bytes) -> None:
        assert self.alive
        for frame in FrameDecoder().feed(data):
            if frame.kind is Kind.CALL:
                self.calls.append(frame.channel)

    def kill(self) -> None:
        self.alive = False

    def ended(self) -> ConnectionLost:
        return ConnectionLost("it has ended")

    def answer(self, number: int) -> None:
        self._on_frame(Frame(Kind.RESULT, self.calls[number], b"{}"))


class Hosted:
    """A host, its worker, and producers that open there."""

    def __init__(self) -> None:
        self.host = ProduceHost(Reach(FluvioSettings("127.0.0.1:1")))
        self.worker: TalkedTo

    async def start(self) -> None:
        async def start(on_frame: Callable[[Frame], None]) -> Worker:
            self.worker = TalkedTo(on_frame)
            return cast(Worker, self.worker)

        await self.host.start(start)

    async def open(self) -> OfficialProducer:
        return await self.host.open("a", 0, self._look, "open", limits=Limits(), compression=None)

    async def opening(self) -> asyncio.Task[OfficialProducer]:
        task = asyncio.ensure_future(self.open())
        await asyncio.sleep(0)
        return task

    async def _look(self) -> None:
        raise AssertionError


@pytest.fixture
async def hosted() -> Hosted:
    found = Hosted()
    await found.start()
    return found


async def test_a_producer_opens_whole_on_a_worker_that_takes_no_others(hosted: Hosted) -> None:
    first = await hosted.opening()
    second = await hosted.opening()
    hosted.worker.answer(0)
    (await first).failed(FluvioError("it hangs"))
    first.result().close()
    assert not hosted.host.usable
    assert hosted.host.in_use
    hosted.worker.answer(1)
    producer = await second
    assert producer.is_usable
    assert hosted.worker.alive
    producer.close()
    assert not hosted.worker.alive
    assert not hosted.host.in_use


async def test_a_producer_whose_worker_dies_as_it_opens_is_not_there(hosted: Hosted) -> None:
    opening = await hosted.opening()
    hosted.worker.answer(0)
    hosted.worker.alive = False
    hosted.worker.on_lost()
    with pytest.raises(ConnectionLost, match="it has ended"):
        await opening
    assert hosted.host.producers == []


@pytest.mark.parametrize("times", [1, 2])
async def test_of_many_that_do_not_all_open_in_time_none_stays(hosted: Hosted, times: int) -> None:
    opening = asyncio.ensure_future(_all_open([hosted.open(), hosted.open()]))
    await until(lambda: len(hosted.worker.calls) == 2)
    hosted.worker.answer(0)
    await until(lambda: bool(hosted.host.producers))
    for _ in range(times):
        opening.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert hosted.host.producers == []
    assert not hosted.worker.alive
