"""A broker told to misbehave does so, as a real cluster can."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from qd_fluvio import Limits, connect
from qd_fluvio.broker.background import beside
from qd_fluvio.broker.settings import Faults
from qd_fluvio.wire.records import iter_batches
from qd_schemas.errors import SettingError
from support.broker import WireClient, batch_of, connected, opened
from support.connections import Echo, frame, serving, until
from support.official import run_script
from support.processes import Process

SCENES = Path(__file__).with_name("official_scenes.py")


@dataclass(frozen=True)
class Misbehaving:
    """A broker process with faults."""

    sc: str
    spu: str
    process: Process


@contextmanager
def misbehaving(folder: Path, fault: str) -> Iterator[Misbehaving]:
    process = Process(
        *("qd_fluvio.broker", "--data", str(folder / "data"), "--faults", fault), folder=folder
    )
    try:
        ready = process.wait_ready()
        yield Misbehaving(ready["endpoint"], ready["spu"], process)
    finally:
        process.stop()


async def fill(client: WireClient, topic: str, batches: int) -> None:
    for number in range(batches):
        await client.produce(topic, batch_of(*(b"%d-%d" % (number, i) * 100 for i in range(20))))


async def test_told_to_cut_batches_it_loses_records_as_a_real_spu_does(tmp_path: Path) -> None:
    """The library skips what was cut, and a new stream at the first gap brings it back."""
    with misbehaving(tmp_path, "cut-batches") as broker:
        async with connected(broker.sc) as sc, connected(broker.spu) as client:
            assert not (await sc.create("cut")).error
            await fill(client, "cut", 300)  # 20 records of some 500 bytes each
            gaps = run_script(SCENES, "missing", broker.sc, "cut")
            assert gaps
            answer = await client.answer(client.stream("cut", gaps[0]))
            got = [record.offset for record in opened(answer.partition.records)]
            assert gaps[0] in got
            assert len(answer.partition.records) == 1_000_000
            # A batch above the limit never comes whole.
            small = await client.answer(client.stream("cut", 0, max_bytes=100))
            assert len(small.partition.records) == 100
            assert list(iter_batches(small.partition.records)) == []


async def test_told_to_drop_connections_it_does(tmp_path: Path) -> None:
    with misbehaving(tmp_path, "drop-after=50000") as broker:
        async with connected(broker.sc) as sc:
            assert not (await sc.create("dropped")).error
        async with connected(broker.spu) as writing, connected(broker.spu) as reading:
            await fill(writing, "dropped", 10)
            stream = reading.stream("dropped", 0)
            with pytest.raises((ConnectionError, EOFError)):
                await reading.answer(stream)
        async with connected(broker.spu) as again:
            assert (await again.ends("dropped")).end_offset == 200


async def test_told_to_be_late_it_shows_topics_late(tmp_path: Path) -> None:
    with misbehaving(tmp_path, "late-topics=1") as broker:
        late = run_script(SCENES, "late", broker.sc)
        assert late == {"at once": "Topic not found: late", "later": 0}


async def test_told_to_be_slow_it_holds_each_answer_back() -> None:
    sessions: list[Echo] = []

    def make(connection: object) -> Echo:
        sessions.append(Echo(connection))  # type: ignore[arg-type]
        return sessions[-1]

    async with serving(make, faults=Faults(delay_s=3_600.0)) as server:
        client = await server()
        client.writer.write(frame(b"hello"))
        await until(lambda: bool(sessions) and sessions[0].connection._sending.locked())
        for _ in range(100):
            await asyncio.sleep(0)
        assert sessions[0].connection.unsent_bytes == 0
        assert not client.reader._buffer  # type: ignore[attr-defined]


async def test_the_official_client_bears_a_slow_broker(tmp_path: Path) -> None:
    with misbehaving(tmp_path, "delay=0.02") as broker:
        found = run_script(SCENES, "round_trip", broker.sc)
        assert [offset for offset, _, _ in found["rows"]] == [0, 1, 2, 3, 4]


async def test_the_layer_bears_a_slow_broker(tmp_path: Path) -> None:
    values = [b"%d" % number * 1_000 for number in range(500)]
    with misbehaving(tmp_path, "delay=0.02") as broker:
        async with connect(broker.sc) as fluvio:
            await fluvio.create_topic("slow")
            producer = await fluvio.producer("slow")
            await producer.send_many(values)
            await producer.flush()
            consumer = await fluvio.consumer("slow")
            found = [record.value async for record in consumer.read_until(len(values))]
        assert found == values


async def produced(spu: str, topic: str, value: bytes) -> None:
    """Write one record, through restarts."""
    while True:
        with contextlib.suppress(ConnectionError, EOFError):
            async with connected(spu) as client:
                (answer,) = await client.produce(topic, batch_of(value))
                assert not answer.error
                return


@pytest.mark.parametrize("fault", ["restart-after=1s", "restart-after=3000"])
async def test_told_to_restart_it_does_again_and_again(tmp_path: Path, fault: str) -> None:
    """A consumer of the layer reads on, and misses and repeats nothing it was told of."""
    values = [b"%d" % number + bytes(1_000) for number in range(12)]
    with misbehaving(tmp_path, fault) as broker:
        async with connected(broker.sc) as sc:
            assert not (await sc.create("restarted")).error
        async with connect(broker.sc, limits=Limits(reconnect_seconds=60.0)) as fluvio:
            consumer = await fluvio.consumer("restarted")
            found: list[bytes] = []
            for value in values:
                # A record may be written twice when its answer was lost: then it comes twice.
                await produced(broker.spu, "restarted", value)
                while not found or found[-1] != value:
                    found.append((await anext(consumer)).value)
            broker.process.wait_logged("both ports for 0.5 s, as told", 2)
            await produced(broker.spu, "restarted", b"last")
            while found[-1] != b"last":
                found.append((await anext(consumer)).value)
        assert list(dict.fromkeys(found)) == [*values, b"last"]
        assert "Traceback" not in broker.process.log()


async def test_a_restart_into_a_taken_port_ends_the_broker_with_words(tmp_path: Path) -> None:
    with misbehaving(tmp_path, "restart-after=1s") as broker:
        port = int(broker.sc.rpartition(":")[2])
        broker.process.wait_logged("as told")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            assert broker.process.popen.wait(60) == 1
        log = broker.process.log()
        assert f"failed: cannot listen on 127.0.0.1:{port}" in log
        assert "Traceback" not in log


async def test_a_job_that_fails_ends_the_block_beside_it() -> None:
    ended = asyncio.Event()

    async def failing() -> None:
        raise SettingError("this cannot be")

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(SettingError, match="this cannot be"):
        async with beside(failing(), lasting()):
            await asyncio.Event().wait()
    assert ended.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_jobs_end_with_the_block_they_are_beside() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def lasting() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def short() -> None:
        return

    async with beside(lasting(), short()):
        await started.wait()
    assert ended.is_set()


@pytest.mark.parametrize("turns", range(3))
async def test_a_job_may_fail_in_the_turn_in_which_the_block_ends(turns: int) -> None:
    """Its error is told; nobody is cancelled who has not asked for it."""
    now, cleaned = asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        try:
            await now.wait()
        finally:
            for _ in range(turns):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
            raise SettingError("this cannot be")

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            cleaned.set()

    async def block() -> None:
        async with beside(failing(), lasting()):
            await asyncio.sleep(0)
            now.set()

    with pytest.raises(SettingError, match="this cannot be"):
        await block()
    assert cleaned.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
