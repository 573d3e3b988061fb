"""Bring a database's tables to the version of this program.

The files of `qd_store.migrations` are applied in order, all in one transaction, under a
lock, so that any number of processes may try at the same time.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from typing import Any

import psycopg

from qd_store.errors import SchemaMismatch

_LOCK_KEY = 0x7164_0001  # "qd", the migrations

_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str


def known_migrations() -> list[Migration]:
    """All migrations of this program, in order."""
    found = []
    for file in importlib.resources.files("qd_store.migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text()))
    return sorted(found, key=lambda migration: migration.version)


def migrate(connection: psycopg.Connection[Any]) -> list[Migration]:
    """Apply what is missing and return it.

    Parameters
    ----------
    connection : psycopg.Connection
        In no transaction. The tables go to the first schema of its search path.

    Raises
    ------
    SchemaMismatch
        The database was made by a newer program.
    """
    migrations = known_migrations()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        connection.execute(_VERSION_TABLE)
        row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        present: int = row[0] if row else 0
        newest = migrations[-1].version
        if present > newest:
            raise SchemaMismatch(
                f"the database has tables of version {present}, this program knows up to "
                f"{newest}: use a newer qd, or another database"
            )
        missing = [migration for migration in migrations if migration.version > present]
        for migration in missing:
            connection.execute(migration.sql.encode())  # bytes: no parameters, many statements
            connection.execute(
                "INSERT INTO schema_version (version, name) VALUES (%s, %s)",
                [migration.version, migration.name],
            )
    return missing
