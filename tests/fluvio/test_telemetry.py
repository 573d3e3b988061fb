"""Metrics and health over HTTP: what each path says, also while the event loop stands still."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter

from qd_fluvio.telemetry import LOOP_SECONDS_MAX, CannotListen, Health, telemetry
from qd_schemas.specs import Address

ANYWHERE = Address("127.0.0.1", 0)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(where: str, path: str, method: str = "GET") -> tuple[int, str]:
    host, _, port = where.rpartition(":")
    with contextlib.closing(
        http.client.HTTPConnection(host.strip("[]"), int(port), timeout=30)
    ) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


async def test_each_path() -> None:
    registry = CollectorRegistry()
    Counter("qd_things", "Things.", registry=registry).inc(3)
    health = Health({"cluster": "not connected yet"})
    async with telemetry(ANYWHERE, "QD_X", registry, health) as where:

        async def got(path: str, method: str = "GET") -> tuple[int, str]:
            return await asyncio.to_thread(ask, where, path, method)

        status, body = await got("/metrics")
        assert (status, "qd_things_total 3.0" in body) == (200, True)
        assert await got("/livez") == (200, "ok\n")
        assert await got("/readyz") == (503, "cluster: not connected yet\n")
        health.good("cluster")
        assert await got("/readyz") == (200, "ok\n")
        assert await got("/readyz?verbose") == (200, "ok\n")
        health.bad("database", "it does not answer")
        health.bad("cluster", "connection lost")
        assert await got("/readyz") == (
            503,
            "database: it does not answer\ncluster: connection lost\n",
        )
        assert await got("/livez") == (200, "ok\n"), "alive, and waiting for others"
        assert await got("/readyz", "HEAD") == (503, "")
        assert (await got("/livez", "POST"))[0] == 405
        assert (await got("/"))[0] == 404
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(ask, where, "/livez")


async def test_a_loop_that_does_not_turn_is_told() -> None:
    clock = Clock()
    health = Health(clock=clock)
    async with telemetry(ANYWHERE, "QD_X", CollectorRegistry(), health) as where:
        clock.now = LOOP_SECONDS_MAX
        assert ask(where, "/livez") == (200, "ok\n")  # asked by the loop's thread: it stands
        clock.now += 0.1
        told = "event loop: it has not turned for 5.1 s\n"
        assert ask(where, "/livez") == (503, told)
        assert ask(where, "/readyz") == (503, told)
        health.turned()
        assert ask(where, "/livez") == (200, "ok\n")


async def test_a_peer_that_says_nothing_keeps_nobody_waiting() -> None:
    health = Health()
    async with telemetry(ANYWHERE, "QD_X", CollectorRegistry(), health) as where:
        host, _, port = where.rpartition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(5)]
        try:
            assert await asyncio.to_thread(ask, where, "/livez") == (200, "ok\n")
        finally:
            for connection in silent:
                connection.close()


async def test_connections_over_the_limit_are_closed() -> None:
    async with telemetry(ANYWHERE, "QD_X", CollectorRegistry(), Health()) as where:
        host, _, port = where.rpartition(":")
        async with asyncio.timeout(60):
            held = [await asyncio.open_connection(host, int(port)) for _ in range(33)]
            ended = [asyncio.create_task(reader.read()) for reader, _ in held]
            done, waiting = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        assert ([task.result() for task in done], len(waiting)) == ([b""], 32)
        for _, writer in held:
            writer.close()
        await asyncio.gather(*waiting)
        for _ in range(40):  # who has ended leaves a place
            assert await asyncio.to_thread(ask, where, "/livez") == (200, "ok\n")


async def test_an_address_that_is_taken() -> None:
    async with telemetry(ANYWHERE, "QD_X", CollectorRegistry(), Health()) as where:
        taken = Address("127.0.0.1", int(where.rpartition(":")[2]))
        with pytest.raises(CannotListen, match=f"{where} .*in QD_X, or port 0"):
            async with telemetry(taken, "QD_X", CollectorRegistry(), Health()):
                pass


async def test_nowhere() -> None:
    async with telemetry(None, "QD_X", CollectorRegistry(), Health()) as where:
        assert where == ""


async def test_ipv6() -> None:
    async with telemetry(Address("::1", 0), "QD_X", CollectorRegistry(), Health()) as where:
        assert where.startswith("[::1]:")
        assert await asyncio.to_thread(ask, where, "/livez") == (200, "ok\n")
