"""The gateway makes no tables: it says that they are missing, and serves once they are there."""

from __future__ import annotations

import psycopg
import pytest

from qd_gateway.streams.database import Database
from qd_store.errors import SchemaMismatch
from qd_store.migrate import migrate
from support.databases import fresh_database


async def test_tables_that_come_later(database_dsn: str) -> None:
    with fresh_database(database_dsn) as dsn:
        database = Database(dsn)
        try:
            for _ in range(2):
                with pytest.raises(SchemaMismatch, match=r"lacks qd's tables.*`qd db migrate`"):
                    await database.prepare()
            with psycopg.connect(dsn, autocommit=True) as connection:
                assert connection.execute("SELECT to_regclass('symbol')").fetchone() == (None,)
                migrate(connection)
            await database.prepare()
        finally:
            await database.aclose()


async def test_tables_of_a_newer_program(database_dsn: str) -> None:
    with fresh_database(database_dsn) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            migrate(connection)
            connection.execute("INSERT INTO schema_version (version, name) VALUES (999, 'later')")
        database = Database(dsn)
        try:
            with pytest.raises(SchemaMismatch, match="use a newer qd"):
                await database.prepare()
        finally:
            await database.aclose()
