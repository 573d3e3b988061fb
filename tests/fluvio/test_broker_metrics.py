"""The broker's metrics and health: what it shows moves with what its clients do."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from qd_fluvio.broker.__main__ import settings_of
from qd_fluvio.broker.metrics import BrokerMetrics
from qd_fluvio.broker.server import broker
from qd_fluvio.broker.settings import BrokerSettings, ConnectionLimits
from qd_fluvio.telemetry import CannotListen
from qd_schemas.specs import Address
from support.broker import WireClient, batch_of, connected

ANYWHERE = Address("127.0.0.1", 0)


async def got(where: str, path: str) -> str:
    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://{where}{path}", timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())

    return await asyncio.to_thread(ask)


async def numbers(where: str) -> dict[str, float]:
    text = await got(where, "/metrics")
    return {
        name: float(value) for name, value in re.findall(r"^qd_broker_(\w+) (\S+)$", text, re.M)
    }


async def test_what_clients_do_is_shown(tmp_path: Path) -> None:
    limits = ConnectionLimits(connections_max=9)
    settings = BrokerSettings(tmp_path, metrics=ANYWHERE, limits=limits)
    async with broker(settings) as found:
        assert await got(found.metrics, "/readyz") == "ok\n"
        before = await numbers(found.metrics)
        assert before["disk_bytes"] >= before["disk_free_bytes"] > 0
        nothing = {name: value for name, value in before.items() if not name.startswith("disk_")}
        assert nothing.pop("connections_max") == 9
        assert nothing.pop("held_bytes_max") == limits.memory_bytes_max
        assert set(nothing.values()) == {0}
        async with connected(found.sc) as sc, connected(found.spu) as spu:
            await fill(sc, spu)
            after = await numbers(found.metrics)
    assert (after["topics"], after["partitions"], after["connections"]) == (2, 4, 2)
    assert after["stored_bytes"] >= 10_000
    assert after["sent_bytes_total"] > 0
    assert after["partitions_broken"] == 0


async def fill(sc: WireClient, spu: WireClient) -> None:
    await sc.create("one", 3)
    await sc.create("other", 1)
    await spu.produce("one", batch_of(bytes(10_000)))


async def test_it_is_not_ready_before_its_ports_are_open_and_after(tmp_path: Path) -> None:
    metrics = BrokerMetrics()
    assert metrics.health.not_ready() == {"ports": "not open yet"}
    assert list(metrics.collect()) == []
    metrics.stopped()
    assert metrics.health.not_ready() == {"ports": "closed"}
    assert metrics.health.not_alive() == {}


async def test_an_address_that_is_taken_names_the_setting(tmp_path: Path) -> None:
    async with broker(BrokerSettings(tmp_path / "a", metrics=ANYWHERE)) as found:
        taken = Address("127.0.0.1", int(found.metrics.rpartition(":")[2]))
        with pytest.raises(CannotListen, match="QD_BROKER_METRICS"):
            async with broker(BrokerSettings(tmp_path / "b", metrics=taken)):
                pass
    async with broker(BrokerSettings(tmp_path / "a")) as found:
        assert found.metrics == ""


def test_the_process_reads_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QD_BROKER_METRICS", "0.0.0.0:9100")
    assert settings_of(["--data", "x"]).metrics == Address("0.0.0.0", 9100)
    monkeypatch.setenv("QD_BROKER_METRICS", "everywhere")
    with pytest.raises(SystemExit):
        settings_of(["--data", "x"])
    assert "QD_BROKER_METRICS is 'everywhere'; expected host:port" in capsys.readouterr().err
