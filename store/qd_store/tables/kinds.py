"""The two kinds of tables: plain PostgreSQL, and TimescaleDB.

A database's kind is decided by its first migration and recorded, so that a server that gets
or loses the extension later changes nothing. Readers need not know it: the relations have the
same names and columns, and give the same rows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import psycopg

from qd_store.errors import SchemaMismatch


class TableKind(StrEnum):
    """What the tables of a database are."""

    PLAIN = "plain"
    """Trades partitioned by market; bars in tables that the import fills."""
    TIMESCALEDB = "timescaledb"
    """Trades in a hypertable, compressed; bars in continuous aggregates."""


KIND_TABLE = """
CREATE TABLE IF NOT EXISTS table_kind (
    kind text PRIMARY KEY CHECK (kind IN ('plain', 'timescaledb'))
)
"""

# A library that is not preloaded refuses all work, though the server offers to create it.
_OFFERED = """
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
   AND current_setting('timescaledb.max_background_workers', true) IS NOT NULL
"""


def kind_of(connection: psycopg.Connection[Any]) -> TableKind:
    """The kind of a migrated database.

    Raises
    ------
    SchemaMismatch
        It has not been migrated.
    """
    row = None
    if connection.execute("SELECT to_regclass('table_kind')").fetchone() != (None,):
        row = connection.execute("SELECT kind FROM table_kind").fetchone()
    if row is None:
        raise SchemaMismatch("the database lacks qd's tables: run `qd db migrate`")
    return TableKind(row[0])


def offered_kind(connection: psycopg.Connection[Any]) -> TableKind:
    """The best kind that a server offers to a new database."""
    row = connection.execute(_OFFERED).fetchone()
    return TableKind.TIMESCALEDB if row == (True,) else TableKind.PLAIN
