"""``qd health``: its exit code and words, from real answers, and how little it loads."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from qd_cli import health
from qd_cli.errors import ExitCode
from qd_fluvio.telemetry import Health, telemetry
from qd_schemas.specs import Address
from support.commands import Qd

ANYWHERE = Address("127.0.0.1", 0)
_SLOW_TO_LOAD = ("typer", "pydantic", "asyncio", "numpy", "rich", "psutil")


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in health.SETTINGS.values():
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.delenv("QD_CONFIG", raising=False)


@pytest.mark.parametrize("part", sorted(health.SETTINGS))
async def test_each_part_is_asked_at_its_own_address(
    bare_qd: Qd, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    state = Health({"cluster": "not connected yet", "database": "down"})
    async with telemetry(ANYWHERE, "X", CollectorRegistry(), state) as where:
        # A service in a container listens at every address.
        port = where.rpartition(":")[2]
        monkeypatch.setenv(health.SETTINGS[part].name, f"0.0.0.0:{port}")
        done = await asyncio.to_thread(bare_qd, "health")
        told = f"{part}: cluster: not connected yet\n{part}: database: down\n"
        assert (done.code, done.out, done.err) == (ExitCode.FAILED, "", told)
        done = await asyncio.to_thread(bare_qd, "health", "--live", part)
        assert (done.code, done.out, done.err) == (0, f"{part}: ok\n", "")
        state.good("cluster")
        state.good("database")
        assert (await asyncio.to_thread(bare_qd, "health", part)).code == 0


async def test_all_that_have_an_address_are_asked(
    bare_qd: Qd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        telemetry(ANYWHERE, "X", CollectorRegistry(), Health()) as good,
        telemetry(ANYWHERE, "X", CollectorRegistry(), Health({"it": "is not"})) as bad,
    ):
        monkeypatch.setenv("QD_SYMDB_METRICS", good)
        monkeypatch.setenv("QD_GATEWAY_METRICS", bad)
        done = await asyncio.to_thread(bare_qd, "health")
    assert (done.code, done.out, done.err) == (1, "symdb: ok\n", "gateway: it: is not\n")


async def test_what_does_not_answer_is_told(bare_qd: Qd, monkeypatch: pytest.MonkeyPatch) -> None:
    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            writer.write(answer)
            writer.close()
        else:
            silent.append(writer)

    silent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("QD_GATEWAY_METRICS", f"127.0.0.1:{port}")
    async with server:
        answer = b"SSH-2.0\r\n\r\n"
        done = await asyncio.to_thread(bare_qd, "health")
        assert (done.code, done.err) == (
            1,
            f"gateway: 127.0.0.1:{port} is no service of qd: it speaks no HTTP\n",
        )
        answer = b""
        monkeypatch.setattr(health, "ANSWER_SECONDS_MAX", 0.2)
        done = await asyncio.to_thread(bare_qd, "health")
        assert done.err == f"gateway: 127.0.0.1:{port} has not answered in 0.2 s\n"
        for writer in silent:
            writer.transport.abort()
    done = await asyncio.to_thread(bare_qd, "health")
    assert done.err == f"gateway: 127.0.0.1:{port} does not answer: Connection refused\n"
    assert done.code == 1


def test_nowhere_to_ask(bare_qd: Qd, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bare_qd("health", "broker")
    assert (done.code, done.err.count("QD_")) == (1, 1)
    assert done.err.startswith("qd: found nowhere to ask: set QD_BROKER_METRICS")
    assert bare_qd("health").err.count("_METRICS") == 4
    done = bare_qd("health", "database")
    assert "no part is named 'database': expected one of gateway, symdb" in done.err
    assert bare_qd("health", "gateway", "symdb").code == ExitCode.USAGE
    assert "QD_BROKER_METRICS" in bare_qd("health", "--help").out
    monkeypatch.setenv("QD_SYMDB_METRICS", "here")
    assert "QD_SYMDB_METRICS is 'here'; expected host:port" in bare_qd("health").err


def test_it_loads_next_to_nothing() -> None:
    """It runs every few seconds, beside a service that needs the processor itself."""
    program = (
        "import json, sys; from qd_cli.main import main; code = main(['health']);"
        "print(json.dumps([code, list(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"QD_GATEWAY_METRICS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, loaded = json.loads(done.stdout)
    assert code == 1
    assert not set(_SLOW_TO_LOAD) & set(loaded)
