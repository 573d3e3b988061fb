"""A runner that is killed at any moment: in the end the topics hold what one run would write.

Real processes, both clients: ``kill -9`` of the runner again and again, of the broker, SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qd_fluvio import ConnectionLost, Fluvio, FluvioError, Limits, TopicNotFound, connect
from qd_fluvio.processors.loading import build
from qd_fluvio.processors.runner import Counts, run_processor
from qd_schemas.specs import ClientKind, FluvioSettings
from support.effort import tried
from support.layer import BOTH_CLIENTS, Broker
from support.process_runs import Bench, open_bench
from support.processes import Process
from support.processors import stream_values, summed, trades

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)

# Of the file below, in another order for each client: the first is killed at every change.
PROCESSORS = {
    ClientKind.OFFICIAL: ("totals", "windows", "bars"),
    ClientKind.NATIVE: ("windows", "totals", "bars"),
}
KILLS_MAX = 4
LIFE_SECONDS_MAX = 0.6
SHORT = Limits(send_seconds=3.0, reconnect_seconds=1.0)

# Slow enough to be hit in the middle; the shipped processors behind it do the work.
SLOW = """
import hashlib
from qd_fluvio import processors as p
from qd_fluvio.processors.shipped import SHIPPED

@p.map(p.BYTES)
def slowly(value):
    if len(value) % 9 == 4:
        raise ValueError("of this length")
    hashlib.pbkdf2_hmac("sha256", value, b"", 1500)
    return value

@p.aggregate(p.JSON, initial=0, key=lambda value: value["x"] % 7)
def total(sum, value):
    return sum + value["x"]

@p.window(p.JSON, every="10s", initial=0, lateness="3s", time=lambda v: v["t"])
def counted(count, value):
    return count + 1

@p.dispatch(p.JSON)
def spread(value):
    return None if value["key"] < 3 else "PREFIX-more"

totals = p.chain(slowly, total, spread)
windows = p.chain(slowly, counted)
bars = p.chain(slowly, SHIPPED["deduplicate"](), SHIPPED["trades-to-bars"]("1m"))
"""


@pytest.fixture
async def bench(cluster: FluvioSettings, fluvio: Fluvio, topic: str) -> AsyncIterator[Bench]:
    found = await open_bench(cluster, fluvio, topic)
    yield found
    await found.clear()


def values_of(name: str) -> list[bytes]:
    if name == "bars":
        return stream_values(trades(4000), 1, [1, 5, 2])
    order = random.Random(3)
    times = [number * 50_000 + order.randrange(4_000_000) for number in range(1500)]
    return [
        json.dumps({"x": x, "t": t, "pad": "p" * (x % 9)}).encode() for x, t in enumerate(times)
    ]


@contextlib.contextmanager
def started(bench: Bench, file: Path, name: str, *more: str) -> Iterator[Process]:
    """A runner; it is killed if it is still there in the end."""
    process = Process(
        "qd_cli",
        *("process", "run", f"{file}:{name}", "--from", bench.name, "--to", f"{bench.name}-out"),
        *("--id", bench.name, "--from-beginning", "--checkpoint-seconds", "0.03", *more),
        folder=file.parent,
        env={"QD_FLUVIO": bench.cluster.endpoint, "QD_FLUVIO_CLIENT": bench.cluster.client.value},
    )
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.kill()


async def until_done(bench: Bench, file: Path, name: str, order: random.Random) -> int:
    """Run it again and again, and kill it at random moments; gives how often it was killed."""
    for kills in itertools.count():
        life = order.uniform(0, LIFE_SECONDS_MAX) if kills < KILLS_MAX else None
        with (
            started(bench, file, name, "--once") as process,
            contextlib.suppress(subprocess.TimeoutExpired),
        ):
            await asyncio.to_thread(process.wait_ready)
            code = await asyncio.to_thread(process.popen.wait, life)
            assert code == 0, process.log()
            return kills
    raise AssertionError("it is never done")


@pytest.mark.slow
@pytest.mark.parametrize("turn", tried([0], thoroughly=[0, 1, 2]))
async def test_killed_at_random_moments(bench: Bench, tmp_path: Path, turn: int) -> None:
    name = PROCESSORS[bench.cluster.client][turn]
    file = tmp_path / "slow.py"
    file.write_text(SLOW.replace("PREFIX", bench.name))
    await bench.put(values_of(name))
    kills = await until_done(bench, file, name, random.Random(f"{name}{bench.cluster.client}"))
    expected = await bench.expected(build([f"{file}:{name}"]))
    assert len(expected) == 3 if name == "totals" else 2
    for topic, held in expected.items():
        assert await bench.held(topic) == held
    assert kills


async def test_sigterm_ends_it_in_order(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text(SLOW.replace("PREFIX", bench.name))
    await bench.put(values_of("windows")[:500])
    with started(bench, file, "windows") as process:
        await asyncio.to_thread(process.wait_ready)
        assert await asyncio.to_thread(process.stop) == 0
        assert "stopping on SIGTERM" in process.log()
    with started(bench, file, "windows", "--once", "--json") as rest:
        assert await asyncio.to_thread(rest.popen.wait, 60) == 0
    counts = json.loads(rest.log().strip().splitlines()[-2])
    assert counts["repeated"] == 0  # nothing had to be done again
    expected = await bench.expected(build([f"{file}:windows"]))
    assert await bench.held(f"{bench.name}-out") == expected[f"{bench.name}-out"]


async def test_the_broker_may_die_and_come_back(
    broker: Broker, client_kind: ClientKind, topic: str
) -> None:
    cluster = FluvioSettings(broker.endpoint, client_kind)
    async with connect(cluster) as fluvio:
        bench = await open_bench(cluster, fluvio, topic)
        await fluvio.create_topic(f"{topic}-out")
        await bench.put([b'{"x": %d}' % number for number in range(3000)])
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = bench.with_(once=False, checkpoint_seconds=0.0, reconnect_seconds=60.0)
    run = asyncio.create_task(
        run_processor(cluster, summed, settings, stop, limits=SHORT, on_ready=ready.set)
    )
    await ready.wait()
    for more in range(3):
        broker.kill()
        broker.start()
        async with connect(cluster) as fluvio:
            bench.fluvio = fluvio
            await bench.put([b'{"x": %d}' % number for number in range(more, more + 500)])
    async with connect(cluster) as fluvio:
        bench.fluvio = fluvio
        expected = await bench.expected(summed)
        held: list[object] = []
        while len(held) < len(expected[f"{topic}-out"]):
            assert not run.done(), run.exception()
            await asyncio.wait({run}, timeout=0.1)
            held = list(await bench.held(f"{topic}-out"))
        stop.set()
        await run
        for name, all_held in expected.items():
            assert await bench.held(name) == all_held


async def test_a_cluster_that_stays_away_ends_it(
    broker: Broker, client_kind: ClientKind, topic: str
) -> None:
    cluster = FluvioSettings(broker.endpoint, client_kind)
    async with connect(cluster) as fluvio:
        bench = await open_bench(cluster, fluvio, topic)
    ready = asyncio.Event()
    settings = bench.with_(once=False, reconnect_seconds=1.0)
    run = asyncio.create_task(
        run_processor(cluster, summed, settings, asyncio.Event(), limits=SHORT, on_ready=ready.set)
    )
    await ready.wait()
    broker.kill()
    with pytest.raises(ConnectionLost, match=r"away for more than 1 s.*goes on at its checkpoint"):
        await run


async def test_stopping_while_the_cluster_is_away(
    broker: Broker, client_kind: ClientKind, topic: str
) -> None:
    cluster = FluvioSettings(broker.endpoint, client_kind)
    async with connect(cluster) as fluvio:
        bench = await open_bench(cluster, fluvio, topic)
    stop, ready = asyncio.Event(), asyncio.Event()
    run = asyncio.create_task(
        run_processor(
            cluster, summed, bench.with_(once=False), stop, limits=SHORT, on_ready=ready.set
        )
    )
    await ready.wait()
    broker.kill()
    stop.set()
    (ended,) = await asyncio.gather(run, return_exceptions=True)
    assert isinstance(ended, Counts | FluvioError)  # it ends; what is unsaved is done again


async def test_the_topic_is_deleted_meanwhile(bench: Bench) -> None:
    ready = asyncio.Event()
    run = asyncio.create_task(
        run_processor(
            bench.cluster, summed, bench.with_(once=False), asyncio.Event(), on_ready=ready.set
        )
    )
    await ready.wait()
    await bench.fluvio.delete_topic(bench.name)
    with pytest.raises(TopicNotFound):
        await run
