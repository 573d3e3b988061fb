"""Services under roles of their own, with DSNs out of files; no password is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from qd_client import QDClient, SymdbClient
from qd_schemas.enums import ExchangeId, Resolution
from qd_store.administration.roles import Purpose
from qd_store.imports import import_paths
from support.markets import generated, write_csv
from support.processes import Process
from support.roles import Roles, roles_of


@pytest.fixture
def roles(database_dsn: str, tmp_path: Path) -> Iterator[Roles]:
    write_csv(generated(1), tmp_path / "XBTUSD.csv")
    with roles_of(database_dsn) as found:
        import_paths(
            found.dsn(Purpose.IMPORTER),
            [tmp_path / "XBTUSD.csv"],
            rejects_folder=tmp_path / "rejects",
        )
        yield found


@pytest.fixture
def services(
    roles: Roles, fluvio_endpoint: str, tmp_path: Path
) -> Iterator[dict[Purpose, Process]]:
    """Both services, each with a file that holds its role's DSN."""
    with ExitStack() as stack:
        started = {}
        for purpose in (Purpose.GATEWAY, Purpose.SYMDB):
            secret = tmp_path / f"{purpose}.dsn"
            secret.write_text(f"{roles.dsn(purpose)}\n")
            env = {
                "QD_DATABASE": "",
                "QD_DATABASE_FILE": str(secret),
                "QD_FLUVIO": fluvio_endpoint,
                "QD_SYMDB": "127.0.0.1:0",
                "QD_LOG_LEVEL": "DEBUG",
            }
            process = Process(f"qd_{purpose}", folder=tmp_path, env=env)
            stack.callback(process.stop)
            process.wait_ready()
            started[purpose] = process
        yield started


async def test_services_under_their_roles(
    roles: Roles, services: dict[Purpose, Process], fluvio_endpoint: str
) -> None:
    host, port = str(services[Purpose.SYMDB].wait_ready()["endpoint"]).rsplit(":", 1)
    async with SymdbClient(host, int(port)) as symdb:
        market = await symdb.id_by_symbol(ExchangeId.KRAKEN, "XBTUSD")
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        trades = np.concatenate([rows async for rows in qd.trades(market.symbol_id)])
        bars = np.concatenate([rows async for rows in qd.bars(market.symbol_id, Resolution.D1)])
    assert (len(trades), trades["sequence"][-1]) == (5_000, 5_000)
    assert len(bars) > 20
    for process in services.values():
        log = process.log()
        assert not [password for password in roles.passwords.values() if password in log]
        assert "Traceback" not in log
