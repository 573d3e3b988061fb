"""The alert service as its users meet it: real processes, which die and come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qd_fluvio import connect
from qd_schemas.topics import ALERTS
from support.alert_stack import (
    Stack,
    assert_each_once,
    expected,
    logged,
    random_walk,
    wait_for,
    wait_for_count,
    wait_for_saved,
)
from support.markets import database_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LATER = 4_000  # trades of the first market that are imported while the service runs
MARKETS = {"AAA": random_walk(1, 20_000), "BBB": random_walk(2, 30_000), "CCC": random_walk(3, 500)}


@pytest.fixture
def stack(database_dsn: str, tmp_path: Path) -> Iterator[Stack]:
    """Two markets in a database of their own, and everything but the alert service."""
    early = {"AAA": MARKETS["AAA"][:-LATER], "BBB": MARKETS["BBB"]}
    with database_of(database_dsn, tmp_path / "database", early) as markets:
        found = Stack(markets, tmp_path)
        try:
            for name in ("fluvio.broker", "symdb", "gateway"):
                found.start(name)
            yield found
        finally:
            found.close()


async def test_follows_imports_and_restarts_without_a_repeat(stack: Stack) -> None:
    early = expected(stack, AAA=MARKETS["AAA"][:-LATER], BBB=MARKETS["BBB"])
    process = stack.start("analytics")
    await wait_for(stack, early)
    stack.add("AAA", MARKETS["AAA"])
    stack.add("CCC", MARKETS["CCC"])
    wanted = expected(stack, **MARKETS)
    assert len(wanted) > len(early) > 100
    await wait_for(stack, wanted)
    log = process.log()
    assert re.search(r"AAA caught up: 16000 trades, \d+ alerts, \d+ trades/s", log)
    assert re.search(r"AAA caught up: 4000 trades, \d+ alerts, \d+ trades/s", log)
    await wait_for_saved(stack, AAA=20_000, BBB=30_000, CCC=500)
    stack.kill("analytics")
    again = stack.start("analytics")
    await logged(again, "AAA caught up: 0 trades")
    assert "3 checkpoints" in again.log()
    await assert_each_once(stack, wanted)


@pytest.mark.parametrize("count", [1, 30])
async def test_killed_in_mid_stream(stack: Stack, count: int) -> None:
    wanted = expected(stack, AAA=MARKETS["AAA"][:-LATER], BBB=MARKETS["BBB"])
    stack.start("analytics")
    await wait_for_count(stack, count)
    stack.kill("analytics")
    stack.start("analytics")
    await wait_for(stack, wanted)
    await assert_each_once(stack, wanted)


@pytest.mark.parametrize("victim", ["gateway", "fluvio.broker", "symdb"])
async def test_outlives_the_others(stack: Stack, victim: str) -> None:
    process = stack.start("analytics")
    await wait_for_count(stack, 1)
    stack.kill(victim)
    stack.add("AAA", MARKETS["AAA"])
    stack.start(victim)
    wanted = expected(stack, AAA=MARKETS["AAA"], BBB=MARKETS["BBB"])
    await wait_for(stack, wanted)
    assert "Traceback" not in process.log()
    # A broker that dies may lose an earlier batch and keep a later one; the gap is filled then.
    await assert_each_once(stack, wanted, in_order=victim != "fluvio.broker")


async def test_stops_while_nothing_answers(stack: Stack) -> None:
    process = stack.start("analytics")
    await wait_for_count(stack, 1)
    for name in ("gateway", "fluvio.broker", "symdb"):
        stack.kill(name)
    assert stack.stop("analytics") == 0
    assert "Traceback" not in process.log()


async def test_one_markets_error_stays_its_own(stack: Stack) -> None:
    damaged, price = 5_000, float(MARKETS["AAA"]["price"][4_999])
    set_price(stack, "AAA", damaged, float("nan"))
    process = stack.start("analytics")
    await wait_for(stack, expected(stack, BBB=MARKETS["BBB"]))
    await logged(process, "AAA ended at sequence")
    assert f"trade {damaged} has the price nan" in process.log()
    set_price(stack, "AAA", damaged, price)
    wanted = expected(stack, AAA=MARKETS["AAA"][:-LATER], BBB=MARKETS["BBB"])
    await wait_for(stack, wanted)
    await assert_each_once(stack, wanted)


async def test_a_deleted_topic_is_filled_again(stack: Stack) -> None:
    early = expected(stack, AAA=MARKETS["AAA"][:-LATER], BBB=MARKETS["BBB"])
    process = stack.start("analytics")
    await wait_for(stack, early)
    async with connect(stack.endpoint) as fluvio:
        await fluvio.delete_topic(ALERTS)
    stack.add("AAA", MARKETS["AAA"])
    wanted = expected(stack, AAA=MARKETS["AAA"], BBB=MARKETS["BBB"])
    await logged(process, "the alert topic was made anew")
    await wait_for(stack, wanted)
    assert "Traceback" not in process.log()
    await assert_each_once(stack, wanted)


async def test_foreign_records_on_the_topic_are_passed_over(stack: Stack) -> None:
    wanted = expected(stack, AAA=MARKETS["AAA"][:-LATER], BBB=MARKETS["BBB"])
    async with connect(stack.endpoint) as fluvio:
        await fluvio.create_topic(ALERTS)
        producer = await fluvio.producer(ALERTS)
        await producer.send_many([b"", b"junk", bytes(64), b"\xff" * 9])
        await producer.flush()
        await producer.aclose()
    process = stack.start("analytics")
    await wait_for(stack, wanted)
    stack.kill("analytics")
    process = stack.start("analytics")
    await logged(process, "BBB caught up")
    assert "alerts are on the topic" in process.log()
    assert "Traceback" not in process.log()
    assert stack.stop("analytics") == 0


def set_price(stack: Stack, symbol: str, sequence: int, price: float) -> None:
    with psycopg.connect(stack.markets.dsn) as connection:
        changed = connection.execute(
            "UPDATE trade SET price = %s WHERE market = 65536 + %s AND sequence = %s",
            [price, stack.markets.ids[symbol], sequence],
        )
        assert changed.rowcount == 1
