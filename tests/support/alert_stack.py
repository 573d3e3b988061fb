"""The alert service with everything it needs: real processes, which die and come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qd_analytics import checkpoints
from qd_client import alerts
from qd_fluvio import connect
from qd_schemas.arrays import Rows
from qd_schemas.codec import decode
from qd_schemas.messages import BreakoutAlert
from qd_schemas.topics import ALERTS, ANALYTICS_STATE
from qd_store.imports import import_paths
from support.markets import Markets, write_csv
from support.ports import free_port
from support.processes import Process
from support.reference import rises
from support.trades import as_trades, trade_rows

WAIT_SECONDS_MAX = 90.0
TESTS = Path(__file__).resolve().parents[1]


def random_walk(seed: int, trades: int) -> Rows:
    """A random walk over two years, its times in whole seconds as CSVs have them."""
    chance = np.random.default_rng(seed)
    start = np.datetime64("2021-11-03", "us").astype(np.int64)
    times = start + np.sort(chance.integers(0, 700 * 86_400, trades)) * 1_000_000
    prices = 65_432.1 + np.cumsum(np.round(chance.normal(0.05, 5, trades), 1))
    return trade_rows(times.tolist(), np.round(prices, 1).tolist())


class Stack:
    """All the services but the database, each a process that can be killed and come back."""

    def __init__(self, markets: Markets, folder: Path) -> None:
        self.markets = markets
        self.folder = folder
        self.endpoint = ""
        self.ports = ["--sc-port", str(free_port()), "--spu-port", str(free_port())]
        self.symdb = f"127.0.0.1:{free_port()}"
        self.running: dict[str, Process] = {}
        self.ready: dict[str, Any] = {}  # what the last one said that was started

    def start(self, name: str, **settings: str) -> Process:
        arguments = ["--data", str(self.folder / "broker"), *self.ports]
        process = Process(
            f"qd_{name}",
            *(arguments if name == "fluvio.broker" else []),
            folder=self.folder,
            env={
                "QD_FLUVIO": self.endpoint,
                "QD_DATABASE": self.markets.dsn,
                "QD_SYMDB": self.symdb,
                "QD_CHECKPOINT_SECONDS": "0.2",
                # Models of the tests' own are imported by name.
                "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
                **settings,
            },
        )
        self.running[name] = process
        ready = self.ready = process.wait_ready()
        if name == "fluvio.broker":
            self.endpoint = str(ready["endpoint"])
        return process

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()

    def stop(self, name: str) -> int:
        return self.running.pop(name).stop()

    def close(self) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)

    def add(self, symbol: str, rows: Rows) -> None:
        """Import a market's file, or a later one of the same market."""
        path = self.folder / f"{symbol}.csv"
        write_csv(rows, path)
        report = import_paths(self.markets.dsn, [path], rejects_folder=self.folder / "rejects")
        assert not report.refused, report


Expected = set[tuple[int, int, int, float]]


def expected(stack: Stack, **markets: Rows) -> Expected:
    """Symbol id, sequence, time and price of every alert of these markets."""
    ids = {**stack.markets.ids, "CCC": 3}
    return {(ids[name], *rise) for name, rows in markets.items() for rise in rises(as_trades(rows))}


def told(alert: BreakoutAlert) -> tuple[int, int, int, float]:
    return (alert.symbol_id, alert.sequence, alert.date_time, alert.price)


@contextlib.asynccontextmanager
async def in_time(stack: Stack) -> AsyncIterator[None]:
    """Give the block its time; a failure shows what the service said."""
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            yield
    except TimeoutError:
        said = stack.running["analytics"].log()[-5_000:]
        raise AssertionError(f"nothing more after {WAIT_SECONDS_MAX} s: {said}") from None


async def wait_for(stack: Stack, wanted: Expected) -> None:
    """Read the topic until it has these alerts."""
    missing = set(wanted)
    async with in_time(stack), connect(stack.endpoint) as fluvio:
        await fluvio.create_topic(ALERTS, exist_ok=True)
        async with aclosing(alerts(fluvio)) as found:
            async for alert in found:
                missing.discard(told(alert))
                if not missing:
                    return


async def wait_for_count(stack: Stack, count: int) -> None:
    """Wait until the topic has so many records."""
    async with in_time(stack), connect(stack.endpoint) as fluvio:
        await fluvio.create_topic(ALERTS, exist_ok=True)
        consumer = await fluvio.consumer(ALERTS)
        async for _ in consumer.read_until(count):
            pass
        await consumer.aclose()


async def wait_for_saved(stack: Stack, **sequences: int) -> None:
    """Read the topic of checkpoints until it has these."""
    missing = set(sequences.items())
    async with in_time(stack), connect(stack.endpoint) as fluvio:
        consumer = await fluvio.consumer(ANALYTICS_STATE)
        async for record in consumer:
            saved = checkpoints.decode(record.value)
            missing.discard((saved.symbol, saved.state["sequence"]))
            if not missing:
                break
        await consumer.aclose()


async def all_alerts(stack: Stack) -> list[BreakoutAlert]:
    """Every record on the topic, repeats included."""
    async with connect(stack.endpoint) as fluvio:
        consumer = await fluvio.consumer(ALERTS)
        end = await fluvio.end_offset(ALERTS)
        found = [decode(record.value) async for record in consumer.read_until(end)]
        await consumer.aclose()
    assert all(isinstance(alert, BreakoutAlert) for alert in found)
    return [alert for alert in found if isinstance(alert, BreakoutAlert)]


async def assert_each_once(stack: Stack, wanted: Expected, *, in_order: bool = True) -> None:
    """Stop the service: the topic then has each alert exactly once."""
    assert stack.stop("analytics") == 0
    records = [told(alert) for alert in await all_alerts(stack)]
    assert len(records) == len(wanted)
    assert set(records) == wanted
    for symbol_id in {record[0] for record in records} if in_order else ():
        own = [sequence for symbol, sequence, _, _ in records if symbol == symbol_id]
        assert own == sorted(own)


async def logged(process: Process, text: str) -> None:
    """Wait for a line in a service's log, or for the service to end."""
    exited = os.pidfd_open(process.pid)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while text not in process.log():
                ended, _, _ = await asyncio.to_thread(select.select, [exited], [], [], 0.05)
                assert not ended, process.log()[-3000:]
    except TimeoutError:
        pytest.fail(f"{text!r} is not in the log: {process.log()[-3000:]}")
    finally:
        os.close(exited)
