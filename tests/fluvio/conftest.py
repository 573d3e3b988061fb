"""What the tests of the Fluvio layer share: connections, topics, and brokers to break."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from qd_fluvio import Fluvio, Limits, connect
from qd_schemas.specs import ClientKind, FluvioSettings
from support.broker import Ports
from support.layer import Broker
from support.ports import free_port
from support.processes import running

_NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a worker process, a zombie, or a file descriptor."""
    me = psutil.Process()
    before = {child.pid for child in me.children()}
    descriptors = me.num_fds()
    yield
    assert not [child for child in me.children() if child.pid not in before]
    assert me.num_fds() <= descriptors


@pytest.fixture
def topic() -> str:
    """A topic's name that no test had before."""
    return f"test-{os.getpid()}-{next(_NUMBERS)}"


@pytest.fixture
def client_kind() -> ClientKind:
    """Which client speaks to the cluster; the conformance suite names both in turn."""
    return ClientKind.OFFICIAL


@pytest.fixture
def cluster(fluvio_endpoint: str, client_kind: ClientKind) -> FluvioSettings:
    """The cluster of this session."""
    return FluvioSettings(fluvio_endpoint, client_kind)


@pytest.fixture
async def fluvio(cluster: FluvioSettings) -> AsyncIterator[Fluvio]:
    """A connection to the cluster of this session."""
    async with connect(cluster) as connection:
        yield connection


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """Both ports of a broker that one module of tests has for itself."""
    folder = tmp_path_factory.mktemp("ports")
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        yield Ports(ready["endpoint"], ready["spu"], folder / "qd_fluvio.broker.log")


@pytest.fixture
def own_brokers(nothing_is_left: None) -> None:
    """For tests that start a broker to have it misbehave: no use on a cluster that is given."""
    if "QD_FLUVIO" in os.environ:
        pytest.skip("breaks a broker of its own; QD_FLUVIO names a cluster, which is left whole")


@pytest.fixture
def broker(tmp_path: Path, own_brokers: None) -> Iterator[Broker]:
    """A broker that the test may kill, freeze and start again."""
    found = Broker(tmp_path)
    yield found
    found.close()


@pytest.fixture
def faults() -> list[str]:
    """How the broker of `misbehaving` does so, each as its option says it."""
    return []


@pytest.fixture
def misbehaving(tmp_path: Path, own_brokers: None, faults: list[str]) -> Iterator[Broker]:
    """A broker with faults."""
    found = Broker(tmp_path, *(word for fault in faults for word in ("--faults", fault)))
    yield found
    found.close()


@pytest.fixture
async def silent_endpoint() -> AsyncIterator[str]:
    """An address that accepts connections and never answers."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in writers:
        writer.transport.abort()
    server.close()
    await server.wait_closed()


@pytest.fixture
def dead_endpoint() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def impatient() -> Limits:
    """Limits for tests in which something fails for certain."""
    return Limits(
        connect_seconds=1.0,
        call_seconds=2.0,
        send_seconds=1.5,
        reconnect_seconds=1.0,
        idle_check_seconds=1.0,
        close_seconds=0.3,
    )
