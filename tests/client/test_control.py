"""Requests go out over one producer; what ends it ends no other."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from qd_client.control import ControlSender
from qd_fluvio import ConnectionLost, Fluvio
from qd_schemas.messages import ClientLogout, Message


class Sending:
    """A producer whose sends end as a test says; closing it fails those that it has not sent."""

    is_usable = True

    def __init__(self) -> None:
        self.is_closed = False
        self._flushing: list[asyncio.Future[None]] = []

    async def send_many(self, payloads: list[bytes]) -> None:
        assert not self.is_closed

    async def flush(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._flushing.append(future)
        await future

    def end(self, number: int, error: Exception | None = None) -> None:
        """End the flush of this number."""
        if error is None:
            self._flushing[number].set_result(None)
        else:
            self.is_usable = False
            self._flushing[number].set_exception(error)

    def close(self) -> None:
        self.is_closed = True
        for future in self._flushing:
            if not future.done():
                future.set_exception(ConnectionLost("closed"))


class Cluster:
    """Gives producers."""

    endpoint = "cluster:9003"

    def __init__(self) -> None:
        self.made: list[Sending] = []

    async def producer(self, topic: str) -> Sending:
        self.made.append(Sending())
        return self.made[-1]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_that_fails_late_ends_no_other_that_goes_out_anew() -> None:
    cluster = Cluster()
    sender = ControlSender(cast(Fluvio, cluster), lambda message: b"")

    def sending() -> asyncio.Task[None]:
        request: Message = ClientLogout(21)
        return asyncio.create_task(sender.send(request))

    early, late = sending(), sending()
    await turns()
    cluster.made[0].end(0, ConnectionLost("lost"))
    anew = sending()
    await turns()
    assert [made.is_closed for made in cluster.made] == [True, False]
    cluster.made[1].end(0)
    await anew
    for lost in (early, late):
        with pytest.raises(ConnectionLost):
            await lost
