"""Hostile clients of a broker process, while a bystander's records must all come through."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qd_fluvio.broker.settings import (
    FETCH_BYTES_MAX,
    LIST_NAMES_MAX,
    OUTBOX_BYTES_MAX,
    REQUEST_BYTES_MAX,
    REQUEST_ELEMENTS_MAX,
    SEND_CHUNK_BYTES,
    STREAMS_PER_CONNECTION_MAX,
    WATCHES_PER_CONNECTION_MAX,
)
from qd_fluvio.wire import admin, data
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.metadata import TOPIC
from support.broker import Ports, WireClient, batch_of, connected, values_in
from support.processes import Process, running

CONNECTIONS_MAX = 60
MEMORY_BYTES_MAX = 40_000_000
STARING = 30
PORTION_BYTES = FETCH_BYTES_MAX + SEND_CHUNK_BYTES + OUTBOX_BYTES_MAX
VALUES = [b"%03d" % number * 300 for number in range(100)]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """A broker with small limits, so that little is needed to reach them."""
    folder = tmp_path_factory.mktemp("attacked")
    limits = ("--connections-max", str(CONNECTIONS_MAX), "--memory-max", str(MEMORY_BYTES_MAX))
    data_folder = ("--data", str(folder / "data"))
    with running("qd_fluvio.broker", *data_folder, *limits, folder=folder) as ready:
        yield Ports(ready["endpoint"], ready["spu"], folder / "qd_fluvio.broker.log")


@asynccontextmanager
async def bystanders(ports: Ports, topic: str) -> AsyncIterator[None]:
    """A client that writes and one that reads while the block runs, and after it."""
    written, enough = asyncio.Event(), asyncio.Event()

    async def write(client: WireClient) -> int:
        count = 0
        while not (enough.is_set() and count >= len(VALUES)):
            (answer,) = await client.produce(topic, batch_of(VALUES[count % len(VALUES)]))
            assert (answer.error.code, answer.base_offset) == (0, count)
            count += 1
            written.set()
        return count

    async def read(client: WireClient, writing: asyncio.Task[int]) -> int:
        stream, count = client.stream(topic, 0), 0
        while not (writing.done() and count == writing.result()):
            answer = await client.answer(stream)
            assert not answer.partition.error
            for value in values_in(answer.partition.records):
                assert value == VALUES[count % len(VALUES)]
                count += 1
            await client.acknowledge(answer.stream_id, count)
        return count

    async with connected(ports.sc) as sc, connected(ports.spu) as one, connected(ports.spu) as two:
        assert not (await sc.create(topic)).error
        writing = asyncio.create_task(write(one))
        reading = asyncio.create_task(read(two, writing))
        await written.wait()
        yield
        enough.set()
        assert await writing == await reading >= len(VALUES)
        # Another client is served at once, too.
        async with connected(ports.sc) as late:
            assert not (await late.delete(topic)).error


async def flood(
    ports: Ports, count: int, attack: Callable[[WireClient], Awaitable[None]], port: str = "spu"
) -> None:
    """So many hostile connections, one after another, all of them left open until the end."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            with contextlib.suppress(ConnectionError):
                client = await stack.enter_async_context(connected(getattr(ports, port)))
                await attack(client)


async def nothing(client: WireClient) -> None:
    """Connect and be silent."""


async def half_a_length(client: WireClient) -> None:
    client.writer.write(b"\0\0")


async def a_large_claim(client: WireClient) -> None:
    client.writer.write(struct.pack(">i", REQUEST_BYTES_MAX))


async def half_a_request(client: WireClient) -> None:
    client.writer.write(struct.pack(">i", REQUEST_BYTES_MAX) + bytes(2_000_000))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.writer.drain()


async def random_bytes(client: WireClient) -> None:
    client.writer.write(os.urandom(10_000))


async def empty_frames(client: WireClient) -> None:
    client.writer.write(bytes(400_000))


async def leave_at_once(client: WireClient) -> None:
    client.writer.write(b"\0")
    client.writer.transport.abort()


@pytest.mark.parametrize("port", ["sc", "spu"])
@pytest.mark.parametrize(
    "attack",
    [nothing, half_a_length, a_large_claim, random_bytes, empty_frames, leave_at_once],
)
async def test_floods_of_connections(
    attacked: Ports, port: str, attack: Callable[[WireClient], Awaitable[None]]
) -> None:
    async with bystanders(attacked, f"flood-{port}-{attack.__name__.replace('_', '-')}"):
        await flood(attacked, 4 * CONNECTIONS_MAX, attack, port)
    assert "Traceback" not in attacked.log.read_text()


async def test_half_requests_of_more_than_all_memory(attacked: Ports) -> None:
    async with bystanders(attacked, "half"):
        await flood(attacked, 45, half_a_request)
    assert "Traceback" not in attacked.log.read_text()


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1_024


async def stare(client: WireClient) -> None:
    """Ask for twenty streams and take nothing."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(20):
        client.stream("heavy", 0, max_bytes=2**31 - 1)
    await client.writer.drain()


async def test_memory_stays_bounded_under_readers_that_do_not_read(tmp_path: Path) -> None:
    """Thirty connections with streams of 30 MB each, none of which takes a byte."""
    arguments = ("--data", str(tmp_path / "data"), "--memory-max", str(MEMORY_BYTES_MAX))
    process = Process("qd_fluvio.broker", *arguments, folder=tmp_path)
    try:
        ready = process.wait_ready()
        ports = Ports(ready["endpoint"], ready["spu"], process.log_file)
        async with connected(ports.sc) as sc, connected(ports.spu) as spu:
            assert not (await sc.create("heavy")).error
            for _ in range(30):
                await spu.produce("heavy", batch_of(bytes(1_000_000)))
        before = peak_bytes(process.pid)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(STARING):
                await stare(await stack.enter_async_context(connected(ports.spu)))
            async with bystanders(ports, "stared-at"):
                pass
        # A burst may go over the limit until the next sweep, by a portion a connection.
        assert peak_bytes(process.pid) - before < MEMORY_BYTES_MAX + STARING * PORTION_BYTES
        assert "Traceback" not in process.log()
    finally:
        process.stop()


def raw_request(key: int, version: int, body: bytes) -> bytes:
    header = struct.pack(">Hhih", key, version, 1, 0)
    return struct.pack(">i", len(header) + len(body)) + header + body


LISTED = struct.pack(">h", 5) + b"Topic"
COSTLY = {
    "a list of millions of names": (
        "sc",
        raw_request(
            1_003, 19, LISTED + struct.pack(">ii", 20_000_006, 10_000_000) + bytes(20_000_002)
        ),
        "more than a message may have",
    ),
    "a filter of too many names": (
        "sc",
        raw_request(
            1_003,
            19,
            LISTED
            + struct.pack(">ii", 2 * LIST_NAMES_MAX + 8, LIST_NAMES_MAX + 1)
            + bytes(2 * LIST_NAMES_MAX + 4),
        ),
        "names in a list's filter",
    ),
    "offsets of too many partitions": (
        "spu",
        raw_request(
            1_002,
            24,
            struct.pack(">ihi", 1, 0, REQUEST_ELEMENTS_MAX) + bytes(4 * REQUEST_ELEMENTS_MAX),
        ),
        "more than a message may have",
    ),
}


@pytest.mark.parametrize("name", COSTLY)
async def test_a_request_that_would_cost_too_much_to_read(attacked: Ports, name: str) -> None:
    port, request, words = COSTLY[name]
    lines = attacked.log.read_text().count(words)
    topic = f"costly-{list(COSTLY).index(name)}"
    async with bystanders(attacked, topic), connected(getattr(attacked, port)) as client:
        client.writer.write(request)
        with contextlib.suppress(ConnectionError):
            assert await client.closed() == b""
    assert attacked.log.read_text().count(words) == lines + 1


async def test_many_small_requests_at_once(attacked: Ports) -> None:
    async with bystanders(attacked, "busy"), connected(attacked.sc) as busy:
        request = admin.ListRequest(Labelled(TOPIC, admin.ListObjects(("nope",))))
        numbers = [busy.send(admin.LIST, request) for _ in range(5_000)]
        for number in numbers:
            assert (await busy.answer(number)).object.body.objects == ()


async def test_too_many_watches_end_their_connection(attacked: Ports) -> None:
    async with bystanders(attacked, "watched"), connected(attacked.sc) as client:
        request = admin.WatchRequest(Labelled(TOPIC, admin.WatchObjects(0)))
        for _ in range(WATCHES_PER_CONNECTION_MAX + 1):
            client.send(admin.WATCH, request)
        await client.closed()
    assert f"more than {WATCHES_PER_CONNECTION_MAX} watches" in attacked.log.read_text()


async def test_streams_that_are_never_answered_do_not_add_up(attacked: Ports) -> None:
    async with bystanders(attacked, "forgotten"), connected(attacked.spu) as client:
        for _ in range(3 * STREAMS_PER_CONNECTION_MAX):
            client.stream("forgotten", 0)
        ends = data.FetchOffsetsRequest((data.OffsetsTopic("forgotten", (0,)),))
        answer = await client.call(data.FETCH_OFFSETS, ends)
        assert not answer.topics[0].partitions[0].error
