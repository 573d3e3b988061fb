"""kill -9 in mid-stream: the others live on, the user is told, and a restart repeats nothing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from e2e.system import System
from qd_cli.generate import GeneratedMarket, generate_market
from qd_client import GatewayLost, QDClient, alerts
from qd_fluvio import ClusterUnreachable, ConnectionLost, connect
from support.reference import rises, trades_of

pytestmark = pytest.mark.slow

TRADES = 40_000
MANY_TRADES = 400_000
PACE = 1_000_000.0  # three years in a minute and a half: the stream is still running
PARTS = {"database", "broker", "symdb", "gateway", "analytics"}


async def imported(system: System, folder: Path, trades: int) -> GeneratedMarket:
    made = generate_market(folder, 0, trades=trades, seed=11)
    await system.import_(made.path)
    return made


async def stream_while_dying(system: System, qd: QDClient, symbol: str, part: str) -> None:
    """Stream slowly, kill a part once the first trades are there, and go on reading."""
    async with aclosing(qd.trades(symbol, pace=PACE)) as stream:
        async for _ in stream:
            if part in system.alive():
                system.kill(part)


async def whole(system: System, symbol: str) -> int:
    async with system.client() as qd:
        return sum([len(rows) async for rows in qd.trades(symbol)])


async def test_the_gateway_dies(system: System, tmp_path: Path) -> None:
    made = await imported(system, tmp_path, TRADES)
    async with system.client(lease_ms=2_000) as qd:
        with pytest.raises(GatewayLost, match="gateway"):
            await stream_while_dying(system, qd, made.symbol, "gateway")
    assert system.alive() == PARTS - {"gateway"}
    await system.up()
    assert system.alive() == PARTS
    assert await whole(system, made.symbol) == TRADES
    trades, _ = trades_of(made.path)
    assert await system.alerts_of(made.symbol, TRADES) == rises(trades)


async def test_the_broker_dies(system: System, tmp_path: Path) -> None:
    if system.external_fluvio:
        pytest.skip("QD_FLUVIO names a cluster that is not this test's to kill")
    made = await imported(system, tmp_path, TRADES)
    trades, _ = trades_of(made.path)
    assert await system.alerts_of(made.symbol, TRADES) == rises(trades)
    with pytest.raises((ConnectionLost, ClusterUnreachable), match=system.endpoint):
        async with system.client() as qd:
            await stream_while_dying(system, qd, made.symbol, "broker")
    assert system.alive() == PARTS - {"broker"}
    await system.up()
    assert system.alive() == PARTS
    assert await whole(system, made.symbol) == TRADES
    assert await system.alerts_of(made.symbol, TRADES) == rises(trades), "none lost, none twice"


async def test_the_analytics_service_dies(system: System, tmp_path: Path) -> None:
    made = generate_market(tmp_path, 0, trades=MANY_TRADES, seed=11)
    async with connect(system.endpoint) as fluvio, aclosing(alerts(fluvio)) as stream:
        importing = asyncio.create_task(system.import_(made.path))
        await anext(stream)
        system.kill("analytics")
        await importing
    trades, _ = trades_of(made.path)
    expected = rises(trades)
    assert len(await system.published()) < len(expected), "killed before its work was done"
    assert system.alive() == PARTS - {"analytics"}
    assert await whole(system, made.symbol) == MANY_TRADES
    await system.up()
    assert await system.alerts_of(made.symbol, MANY_TRADES) == expected
