"""Fixtures: a real gateway on a real database with two generated markets."""

from __future__ import annotations

import itertools
import os
import re
import select
from collections.abc import Callable, Iterator

import pytest

from support.markets import Markets, database_of, generated
from support.processes import Process

__all__ = ["client_id", "gateway", "markets", "other_id", "start_gateway"]

# More than a producer takes to give its records up, and to find that their topic is gone.
LOG_SECONDS_MAX = 60.0

GatewayStarter = Callable[..., Process]
"""Starts a gateway; words are more settings, ``QD_GATEWAY_NAME="a"``."""


@pytest.fixture(scope="module")
def markets(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Markets]:
    folder = tmp_path_factory.mktemp("markets")
    trades = {"XBTUSD": generated(1), "XBTEUR": generated(2, 20_000)}
    with database_of(database_dsn, folder, trades) as found:
        yield found


@pytest.fixture(scope="module")
def start_gateway(
    fluvio_endpoint: str, markets: Markets, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayStarter]:
    """Starts gateways; those that still run are stopped at the end."""
    started: list[Process] = []
    env = {"QD_FLUVIO": fluvio_endpoint, "QD_DATABASE": markets.dsn}

    def start(**settings: str) -> Process:
        folder = tmp_path_factory.mktemp("gateway")
        process = Process("qd_gateway", folder=folder, env=env | settings)
        started.append(process)
        process.wait_ready()
        return process

    yield start
    for process in started:
        assert process.stop() in (0, -9), process.log()


@pytest.fixture(scope="module")
def gateway(start_gateway: GatewayStarter) -> Process:
    """A gateway for tests that leave it as it is."""
    return start_gateway()


_client_ids = itertools.count(1_000)


@pytest.fixture
def client_id() -> int:
    """An id that no other test uses."""
    return next(_client_ids)


@pytest.fixture
def other_id() -> int:
    """Another id that no other test uses."""
    return next(_client_ids)


def wait_logged(process: Process, pattern: str) -> None:
    """Wait until a service's log has a line like this; or fail."""
    exited = os.pidfd_open(process.pid)
    try:
        for _ in range(int(LOG_SECONDS_MAX / 0.05)):
            if re.search(pattern, process.log()):
                return
            if select.select([exited], [], [], 0.05)[0]:
                break
    finally:
        os.close(exited)
    raise AssertionError(f"{process.module} did not log {pattern!r}: {process.log()[-3000:]}")
