"""What the gateway's benchmarks run on: a database with generated markets, clusters, gateways.

The cluster is a local broker of its own and, where QD_FLUVIO names one, that one too; each
gateway runs for the time of one measurement, with one of the Fluvio clients.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg

from bench.databases import fresh_database, server
from bench.generated import write_market
from bench.memory import import_peak_bytes
from qd_cli.stack.parts import DATABASE, FLUVIO, Choices, qd_parts
from qd_cli.stack.record import StateFolder
from qd_cli.stack.supervisor import Supervisor
from qd_store import Store

LIMITS = {"QD_GATEWAY_SESSIONS_MAX": "2000", "QD_GATEWAY_STREAMS_MAX": "2000"}
END_OF_ROW = """
SELECT (extract(epoch FROM time) * 1000000)::bigint FROM trade JOIN symbol USING (market)
WHERE symbol_id = %s AND sequence = %s
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """A Fluvio cluster; `pid` is the local broker's, None for a real one."""

    name: str
    endpoint: str
    pid: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Bed:
    """Where a database and clusters are, and the markets' ids by name."""

    folder: Path
    dsn: str
    database_pid: int | None
    clusters: list[Cluster]
    markets: dict[str, int]

    def end_after(self, market: str, rows: int) -> int:
        """Return the time of the row after so many, in microseconds."""
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(END_OF_ROW, (self.markets[market], rows + 1)).fetchone()
        assert found is not None, f"{market} has no {rows + 1} trades"
        return int(found[0])

    @contextlib.asynccontextmanager
    async def gateway(self, cluster: Cluster, kind: str = "native") -> AsyncIterator[int]:
        """Run a gateway; gives its pid."""
        part = next(part for part in qd_parts() if part.name == "gateway")
        settings = {FLUVIO: cluster.endpoint, DATABASE: self.dsn, "QD_FLUVIO_CLIENT": kind}
        part = dataclasses.replace(part, needs=(), settings={**settings, **LIMITS})
        stack = Supervisor(StateFolder(self.folder / "gateway"), [part])
        try:
            record = await stack.up(Choices(die_with_starter=True))
            yield record.parts["gateway"].pid
        finally:
            await stack.down()


@contextlib.asynccontextmanager
async def bed(folder: Path, csvs: dict[str, Path]) -> AsyncIterator[Bed]:
    """Run a database with these markets, and a local broker."""
    async with contextlib.AsyncExitStack() as stack:
        server_dsn = await stack.enter_async_context(server(folder))
        dsn = stack.enter_context(fresh_database(server_dsn))
        async with Store.open(dsn) as store:
            await store.migrate()
        for path in csvs.values():
            import_peak_bytes(dsn, path, folder)
        clusters = [await stack.enter_async_context(_broker(folder / "broker"))]
        if given := os.environ.get(FLUVIO):
            clusters.append(Cluster("real cluster", given, None))
        with psycopg.connect(dsn) as connection:
            found = connection.execute("SELECT symbol, symbol_id FROM symbol").fetchall()
        record = StateFolder(folder / "server").read()
        pid = record.parts["database"].pid if "database" in record.parts else None
        yield Bed(folder, dsn, pid, clusters, dict(found))


@contextlib.asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[Cluster]:
    parts = [part for part in qd_parts() if part.name == "broker"]
    stack = Supervisor(StateFolder(folder), parts)
    try:
        record = await stack.up(Choices(die_with_starter=True))
        yield Cluster("local broker", record.settings[FLUVIO], record.parts["broker"].pid)
    finally:
        await stack.down()


def market(folder: Path, name: str, rows: int, seed: int = 1) -> dict[str, Path]:
    """Write a market of so many trades as Kraken has them."""
    return {name: write_market(folder / f"{name}.csv", rows, seed=seed)}
