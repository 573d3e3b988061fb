"""A real gateway on a real database with two generated markets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.markets import Markets, database_of, generated
from support.processes import Process

GatewayStarter = Callable[[], Process]


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
    """Starts gateways, one at a time; the last one is stopped at the end."""
    started: list[Process] = []
    env = {"QD_FLUVIO": fluvio_endpoint, "QD_DATABASE": markets.dsn}

    def start() -> Process:
        process = Process("qd_gateway", folder=tmp_path_factory.mktemp("gateway"), env=env)
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


@pytest.fixture
def log_of() -> Callable[[Process], str]:
    """Reads a process's log."""
    return lambda process: Path(process.log_file).read_text()
