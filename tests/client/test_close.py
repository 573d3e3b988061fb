"""Closing a client on a cluster that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from qd_client import QDClient
from support.layer import Broker
from support.markets import Markets
from support.processes import Process


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with contextlib.closing(Broker(tmp_path)) as broker:
        yield broker


@pytest.fixture
def endpoint(broker: Broker, markets: Markets, tmp_path: Path) -> Iterator[str]:
    """A cluster with a gateway."""
    env = {"QD_FLUVIO": broker.endpoint, "QD_DATABASE": markets.dsn}
    gateway = Process("qd_gateway", folder=tmp_path, env=env)
    try:
        gateway.wait_ready()
        yield broker.endpoint
    finally:
        gateway.stop()


@pytest.mark.parametrize("harm", [Broker.freeze, Broker.kill])
async def test_a_cancelled_client_waits_for_one_step_at_most(
    broker: Broker,
    endpoint: str,
    markets: Markets,
    caplog: pytest.LogCaptureFixture,
    harm: object,
) -> None:
    """Not for a stop, then a logout, then a deletion, each to its own deadline."""
    assert callable(harm)
    streaming = asyncio.Event()

    async def stream() -> None:
        async with QDClient(endpoint=endpoint, lease_ms=60_000) as qd:
            async for _ in qd.trades(markets.ids["XBTUSD"], pace=1.0):
                streaming.set()

    task = asyncio.create_task(stream())
    task.add_done_callback(lambda _: streaming.set())
    await streaming.wait()
    harm(broker)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waited = [text for text in caplog.messages if "did not answer within" in text]
    assert len(waited) <= 1, caplog.messages
    assert not [text for text in caplog.messages if "were not acknowledged" in text]
