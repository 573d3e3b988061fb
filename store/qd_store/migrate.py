"""Bring a database's tables to the version of this program.

The files of `qd_store.migrations` are applied in order, all in one transaction, under a
lock, so that any number of processes may try at the same time. A file is for both kinds of
tables (``NNNN_name.sql``) or for one (``NNNN_name.plain.sql``, ``NNNN_name.timescaledb.sql``).
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from qd_store.errors import SchemaMismatch
from qd_store.tables.kinds import KIND_TABLE, TableKind, kind_of, offered_kind

_LOCK_KEY = 0x7164_0001  # "qd", the migrations

_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"

# The extension's schema joins the path: TimescaleDB's functions are called by their names.
_SCHEMAS = """
SELECT current_schemas(false) || coalesce(
    (SELECT array_agg(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
     WHERE extname = 'timescaledb'), '{}')
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str


def known_migrations(kind: TableKind) -> list[Migration]:
    """All migrations of this program for one kind of tables, in order."""
    found = []
    for file in importlib.resources.files("qd_store.migrations").iterdir():
        name, _, suffix = file.name.partition(".")
        if suffix in ("sql", f"{kind}.sql"):
            number, _, title = name.partition("_")
            found.append(Migration(int(number), title, file.read_text()))
    return sorted(found, key=lambda migration: migration.version)


def newest_version() -> int:
    """The version of this program's tables, of either kind."""
    return known_migrations(TableKind.PLAIN)[-1].version


def version_of(connection: psycopg.Connection[Any]) -> int:
    """The version of a database's tables; 0 where there are none."""
    row = connection.execute("SELECT to_regclass('schema_version')").fetchone()
    if row == (None,):
        return 0
    row = connection.execute(VERSION).fetchone()
    return int(row[0]) if row else 0


def migrate(connection: psycopg.Connection[Any], kind: TableKind | None = None) -> list[Migration]:
    """Apply what is missing and return it.

    Parameters
    ----------
    connection : psycopg.Connection
        In no transaction. The tables go to the first schema of its search path.
    kind : TableKind, optional
        What a new database shall be; by default TimescaleDB where the server offers it. One
        that has a kind keeps it.

    Raises
    ------
    SchemaMismatch
        The database was made by a newer program.
    """
    if _is_current(connection):
        return []  # whoever may only read, or only import, gets no further
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        if _is_current(connection):
            return []
        connection.execute(_VERSION_TABLE)
        present = version_of(connection)
        decided = _decided(connection, kind)
        missing = [each for each in known_migrations(decided) if each.version > present]
        for migration in missing:
            _apply(connection, migration)
    return missing


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Make sure that a database's tables are of this program's version; changes nothing.

    Raises
    ------
    SchemaMismatch
        They are missing, older or newer; the message says what to do.
    """
    require_version(version_of(connection))


def require_version(present: int) -> None:
    """Make sure that tables of this version, 0 for none, are this program's.

    Raises
    ------
    SchemaMismatch
        They are not; the message says what to do.
    """
    if not _is_newest(present):
        found = f"has tables of version {present}" if present else "lacks qd's tables"
        raise SchemaMismatch(
            f"the database {found}, this program needs version {newest_version()}: "
            "run `qd db migrate` as their owner"
        )


def _is_current(connection: psycopg.Connection[Any]) -> bool:
    return _is_newest(version_of(connection))


def _is_newest(present: int) -> bool:
    newest = newest_version()
    if present > newest:
        raise SchemaMismatch(
            f"the database has tables of version {present}, this program knows up to "
            f"{newest}: use a newer qd, or another database"
        )
    return present == newest


def _decided(connection: psycopg.Connection[Any], wanted: TableKind | None) -> TableKind:
    """The database's kind, recorded now if it has none yet."""
    connection.execute(KIND_TABLE)
    if connection.execute("SELECT FROM table_kind").fetchone() is not None:
        kind = kind_of(connection)
    else:
        kind = wanted or offered_kind(connection)
        connection.execute("INSERT INTO table_kind VALUES (%s)", [kind])
    if kind is TableKind.TIMESCALEDB:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        row = connection.execute(_SCHEMAS).fetchone()
        assert row is not None  # an expression always gives one
        path = sql.SQL(", ").join(map(sql.Identifier, row[0]))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(path))
    return kind


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    connection.execute(migration.sql.encode())  # bytes: no parameters, many statements
    connection.execute(
        "INSERT INTO schema_version (version, name) VALUES (%s, %s)",
        [migration.version, migration.name],
    )
