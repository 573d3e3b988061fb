"""Hostile records on the control topic: each is answered or ignored, and harms nobody.

``QD_HOSTILE_MESSAGES`` says how many (a million by hand), ``QD_HOSTILE_SEED`` which. A client with
a token streams throughout, another one logs in and out in between; both get exactly their trades.
The gateway's memory does not grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from qd_client import QDClient
from qd_fluvio import Consumer, Fluvio, connect
from qd_gateway.core.requests import claimed_client
from qd_schemas.identity import key_of, new_token
from qd_schemas.specs import ClientKind, FluvioSettings
from qd_schemas.topics import CONTROL
from qd_store.gateway_state import add_token
from support.hostile import Attacker
from support.layer import Broker
from support.markets import Markets
from support.ports import free_port
from support.processes import Process
from support.raw_client import RawClient

pytestmark = pytest.mark.slow

MESSAGES = int(os.environ.get("QD_HOSTILE_MESSAGES", "20000"))
SEED = int(os.environ.get("QD_HOSTILE_SEED", "6"))
QUARTERS = 4
GROUP_MESSAGES = 1_000
RECORDED_MAX = 1_000
VICTIM, VISITOR, NOBODY = 4_321, 4_322, 4_323
ONLOOKER, SUCCESSOR = 30_001, 30_002  # which no changed byte makes of another one
GROWTH_SHARE_MAX, GROWTH_BYTES_MAX = 0.1, 8 * 2**20
SECONDS_MAX = 60.0 + MESSAGES / 500


@dataclass
class Attack:
    """What happened so far."""

    recorded: list[bytes] = field(default_factory=list)
    sent: set[bytes] = field(default_factory=set)
    replayed: asyncio.Event = field(default_factory=asyncio.Event)
    memory: list[int] = field(default_factory=list)


@contextlib.contextmanager
def gateway_of(folder: Path, endpoint: str, dsn: str) -> Iterator[tuple[Process, str]]:
    """A gateway and the address of its metrics."""
    metrics = f"127.0.0.1:{free_port()}"
    env = {"QD_FLUVIO": endpoint, "QD_DATABASE": dsn, "QD_GATEWAY_METRICS": metrics}
    process = Process("qd_gateway", folder=folder, env=env)
    try:
        process.wait_ready()
        yield process, metrics
    finally:
        assert process.stop() == 0


def counted(metrics: str, name: str) -> dict[str, int]:
    """The values of one metric, by label."""
    with urllib.request.urlopen(f"http://{metrics}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(rf'^{name}(?:{{\w+="(\w+)"}})? ([0-9.e+]+)$', text, re.M)
    return {label: int(float(value)) for label, value in found}


def resident_bytes(pid: int) -> int:
    """Of a process and of its largest child; how many children there are is the moment's matter."""
    process = psutil.Process(pid)
    children = [0]
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            children.append(child.memory_info().rss)
    return int(process.memory_info().rss) + max(children)


async def replay_for_ever(client: QDClient, markets: Markets, attack: Attack) -> None:
    """Stream one market after the other; each must be exactly what it is."""
    for symbol, rows in itertools.cycle(markets.trades.items()):
        found = [part async for part in client.trades(markets.ids[symbol])]
        np.testing.assert_array_equal(np.concatenate(found), rows)
        attack.replayed.set()


async def visit(
    settings: FluvioSettings, client_id: int, token: str | None, markets: Markets
) -> None:
    """Log in, stream a market, log out."""
    async with QDClient(client_id, endpoint=settings, token=token) as client:
        found = [part async for part in client.trades(markets.ids["XBTEUR"])]
    np.testing.assert_array_equal(np.concatenate(found), markets.trades["XBTEUR"])


async def record_for_ever(consumer: Consumer, attack: Attack) -> None:
    """Take down what victims send, to send it again; what the onlooker sends is no such thing."""
    async for record in consumer:
        is_ours = record.value in attack.sent or claimed_client(record.value) == ONLOOKER
        if not is_ours and len(attack.recorded) < RECORDED_MAX:
            attack.recorded.append(record.value)


@contextlib.asynccontextmanager
async def meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have these coroutines run; what they raise ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def attack_once(
    fluvio: Fluvio, gateway: Process, metrics: str, attacker: Attacker, attack: Attack
) -> None:
    """A quarter of all records, as many at once as the gateway reads in a moment."""
    producer = await fluvio.producer(CONTROL)
    attack.sent.clear()
    for first in range(0, MESSAGES // QUARTERS, GROUP_MESSAGES):
        records = attacker.records(min(GROUP_MESSAGES, MESSAGES // QUARTERS - first))
        attack.sent.update(records)
        await producer.send_many(records)
        await producer.flush()
        await all_read(fluvio, metrics)
    await producer.aclose()
    attack.memory.append(resident_bytes(gateway.pid))


async def all_read(fluvio: Fluvio, metrics: str) -> dict[str, int]:
    """Wait until the gateway has read all there is; what became of the records."""
    end = await fluvio.end_offset(CONTROL)
    results: dict[str, int] = {}
    while sum(results.values()) < end:
        results = await asyncio.to_thread(counted, metrics, "qd_gateway_control_records_total")
    return results


async def test_hostile_records_harm_nobody(markets: Markets, tmp_path: Path) -> None:
    token, attack = new_token(), Attack()
    for client_id in (VICTIM, VISITOR):
        add_token(markets.dsn, client_id, key_of(token), "attacked")
    attacker = Attacker(SEED, [VICTIM, VISITOR, NOBODY], attack.recorded)
    with (
        contextlib.closing(Broker(tmp_path)) as broker,
        gateway_of(tmp_path, broker.endpoint, markets.dsn) as (gateway, metrics),
    ):
        native = FluvioSettings(broker.endpoint, ClientKind.NATIVE)
        async with (
            asyncio.timeout(SECONDS_MAX),
            connect(native) as fluvio,
            RawClient(broker.endpoint, ONLOOKER) as onlooker,
        ):
            consumer = await fluvio.consumer(CONTROL)
            async with (
                QDClient(VICTIM, endpoint=native, token=token) as victim,
                meanwhile(
                    record_for_ever(consumer, attack), replay_for_ever(victim, markets, attack)
                ),
            ):
                for _ in range(QUARTERS):
                    attack.replayed.clear()
                    async with asyncio.TaskGroup() as group:
                        group.create_task(visit(native, VISITOR, token, markets))
                        group.create_task(attack_once(fluvio, gateway, metrics, attacker, attack))
                    await attack.replayed.wait()
            await onlooker.wait_read()
            await check_counters(fluvio, metrics)
            # It is as open as before, to others and to its old client.
            await visit(native, SUCCESSOR, None, markets)
            await visit(native, VICTIM, token, markets)
        assert "Traceback" not in gateway.log()
        assert "defect" not in gateway.log()
    print(f"{MESSAGES:,} records, seed {SEED}; resident bytes by quarter: {attack.memory}")
    early, late = max(attack.memory[: QUARTERS // 2]), max(attack.memory[QUARTERS // 2 :])
    assert late <= early * (1 + GROWTH_SHARE_MAX) + GROWTH_BYTES_MAX, attack.memory


async def check_counters(fluvio: Fluvio, metrics: str) -> None:
    """Every record was counted once, as handled or as ignored; no session is left."""
    results = await all_read(fluvio, metrics)
    assert sum(results.values()) == await fluvio.end_offset(CONTROL), results
    assert set(results) == {"handled", "ignored"}
    reasons = counted(metrics, "qd_gateway_ignored_total")
    assert sum(reasons.values()) == results["ignored"], reasons
    while await asyncio.to_thread(counted, metrics, "qd_gateway_sessions") != {"": 0}:
        pass
