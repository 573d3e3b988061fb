"""Tables are made once, by whoever comes first, and newer ones are left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import psycopg
import pytest
from psycopg import sql

from qd_schemas.arrays import Rows
from qd_store import Store
from qd_store.connections import connect
from qd_store.errors import SchemaMismatch
from qd_store.migrate import known_migrations, migrate, newest_version
from qd_store.tables import TableKind, kind_of, refresh_bars
from qd_store.tables.kinds import offered_kind
from support.stored import SECOND_US, check_all, check_final_bars, random_trades, write

INSTANT: Final = "'epoch'::timestamptz + %s * interval '1 microsecond'"


@pytest.mark.parametrize("kind", TableKind)
def test_migrations_are_numbered_from_one_without_a_gap(kind: TableKind) -> None:
    versions = [migration.version for migration in known_migrations(kind)]
    assert versions == list(range(1, newest_version() + 1))


def test_many_at_once_migrate_once(dsn: str) -> None:
    def run(_: int) -> int:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return len(migrate(connection))

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(run, range(6))) == [0] * 5 + [newest_version()]


async def test_a_newer_database_is_left_alone(store: Store, dsn: str) -> None:
    assert await store.migrate() == []
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (999, 'later')")
    with pytest.raises(SchemaMismatch, match="use a newer qd"):
        await store.migrate()


def first_version(connection: psycopg.Connection[Any], markets: dict[str, Rows]) -> None:
    """The tables of version 1, filled as its import did."""
    first = known_migrations(TableKind.PLAIN)[0]
    connection.execute(first.sql.encode())
    connection.execute(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    connection.execute("INSERT INTO schema_version VALUES (1, %s)", [first.name])
    for number, (symbol, trades) in enumerate(markets.items(), 1):
        key, table = 65_536 + number, sql.Identifier(f"trade_1_{number}")
        connection.execute(
            f"INSERT INTO symbol VALUES (1, %s, %s, DEFAULT, %s, {INSTANT}, {INSTANT})",
            [number, symbol, len(trades), int(trades["time"][0]), int(trades["time"][-1])],
        )
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE trade)").format(table))
        with connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL(f"INSERT INTO {{}} VALUES (%s, %s, {INSTANT}, %s, %s)").format(table),
                [(key, *row) for row in trades.tolist()],
            )
        connection.execute(sql.SQL("CREATE UNIQUE INDEX ON {} (sequence)").format(table))
        connection.execute(
            sql.SQL("ALTER TABLE trade ATTACH PARTITION {} FOR VALUES IN ({})").format(table, key)
        )


@pytest.mark.parametrize("kind", TableKind)
def test_the_first_version_goes_on_without_loss(dsn: str, kind: TableKind) -> None:
    spacing = 3_600 * SECOND_US
    markets = {"A": random_trades(9_000, spacing), "B": random_trades(500, 7 * spacing)}
    more = {symbol: random_trades(1_500, spacing, old) for symbol, old in markets.items()}
    with connect(dsn) as connection:
        if kind is TableKind.TIMESCALEDB is not offered_kind(connection):
            pytest.skip("this server has no TimescaleDB")
        old = {symbol: trades.copy() for symbol, trades in markets.items()}
        old["A"]["volume"][old["A"]["volume"] == 0] = -0.0  # it kept the sign of nothing
        first_version(connection, old)
        assert len(migrate(connection, kind)) == newest_version() - 1
        assert kind_of(connection) is kind
    check_final_bars(dsn, "A", markets["A"])  # none is final
    write(dsn, "A", more["A"])
    check_final_bars(dsn, "A", markets["A"])
    assert refresh_bars(dsn) == 2
    write(dsn, "B", more["B"])
    refresh_bars(dsn)
    for symbol, trades in markets.items():
        check_all(dsn, symbol, np.concatenate((trades, more[symbol])))


def test_a_kind_stays_whatever_the_server_offers(dsn: str) -> None:
    with connect(dsn) as connection:
        migrate(connection, TableKind.PLAIN)
        assert kind_of(connection) is TableKind.PLAIN
        assert migrate(connection, TableKind.TIMESCALEDB) == []
        assert kind_of(connection) is TableKind.PLAIN
    trades = random_trades(2_000, SECOND_US)
    write(dsn, "A", trades)
    check_all(dsn, "A", trades)


def test_tables_that_were_never_made_have_no_kind(dsn: str) -> None:
    with connect(dsn) as connection, pytest.raises(SchemaMismatch, match="qd db migrate"):
        kind_of(connection)
