"""Tables are made once, by whoever comes first, and newer ones are left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from qd_store import Store
from qd_store.errors import SchemaMismatch
from qd_store.migrate import known_migrations, migrate, newest_version
from qd_store.tables import TableKind


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
