"""The rights of the roles: who owns which table, and who may do what with it.

Everything is taken from a role before its rights are given, so that what is not here is not
there. Only relations and functions of the market database are touched, whatever else its
schema holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from qd_store.migrate import version_of
from qd_store.tables import BAR_TABLES, TableKind, kind_of

_BARS: Final = tuple(BAR_TABLES.values())
_SYMBOLS: Final = ("schema_version", "exchange", "symbol")
_TRADES: Final = ("table_kind", "trade", "trade_mark")
_SHARED_BY_GATEWAYS: Final = ("gateway_member", "gateway_slot", "gateway_session")
_TOLD_TO_GATEWAYS: Final = ("gateway_token", "gateway_order")
_TABLES: Final = (*_SYMBOLS, *_TRADES, "import_file")
_ALL_TABLES: Final = (*_TABLES, *_SHARED_BY_GATEWAYS, *_TOLD_TO_GATEWAYS)
_FUNCTIONS: Final = {
    TableKind.PLAIN: ("make_trade_table(integer)", "attach_trade_table(integer)"),
    TableKind.TIMESCALEDB: ("make_trade_chunk(bigint)", "compress_trade_chunk(bigint, bigint)"),
}
_TRIGGERS: Final = ("tell_of_symbol()", "tell_of_symbols()", "tell_gateways()")
_SYMBOL_STATE: Final = "UPDATE (trades, first_time, last_time, bars_sequence, bars_time)"

_PARTITIONS: Final = """
SELECT relid::regclass::text FROM pg_partition_tree('trade')
WHERE isleaf AND relid <> 'trade'::regclass
"""

Connection = psycopg.Connection[Any]
Names = Mapping[str, str]


def grant_rights(connection: Connection, names: Names) -> None:
    """Give each role its rights, in the caller's transaction, as a superuser.

    Parameters
    ----------
    names : mapping of str to str
        The name of the role ``owner``, ``importer``, ``gateway`` and ``symdb``.
    """
    _grant_on_database(connection, names)
    if not version_of(connection):
        return
    kind = kind_of(connection)
    tables = [*_ALL_TABLES, *(_BARS if kind is TableKind.PLAIN else ())]
    _own(connection, names, kind, tables)
    for purpose in ("importer", "gateway", "symdb"):
        for table in (*_ALL_TABLES, *_BARS, *_partitions(connection, kind)):
            if kind is TableKind.PLAIN or purpose != "importer" or table not in _BARS:
                _run(connection, "REVOKE ALL ON {} FROM {}", _name(table), names[purpose])
    _grant(connection, "SELECT", _SYMBOLS, names["symdb"])
    _grant(connection, "SELECT", (*_SYMBOLS, *_TRADES, *_BARS), names["gateway"])
    _grant(connection, "SELECT, INSERT, UPDATE, DELETE", _SHARED_BY_GATEWAYS, names["gateway"])
    _grant(connection, "SELECT", _TOLD_TO_GATEWAYS, names["gateway"])
    _grant(connection, "DELETE", ["gateway_order"], names["gateway"])  # once it is done
    _grant_import(connection, names["importer"], kind)


def _grant_on_database(connection: Connection, names: Names) -> None:
    """Who may connect, and make things: nobody by being there."""
    row = connection.execute("SELECT current_database(), current_schema()").fetchone()
    assert row is not None  # an expression always gives one
    database, schema = (sql.Identifier(name) for name in row)
    _run(connection, "REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC", database)
    _run(connection, "REVOKE CREATE ON SCHEMA {} FROM PUBLIC", schema)
    for name in names.values():
        _run(connection, "REVOKE ALL ON DATABASE {} FROM {}", database, name)
        _run(connection, "REVOKE ALL ON SCHEMA {} FROM {}", schema, name)
        _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, name)
        _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, name)
    _run(connection, "GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", database, names["owner"])
    _run(connection, "GRANT CREATE ON SCHEMA {} TO {}", schema, names["owner"])


def _own(connection: Connection, names: Names, kind: TableKind, tables: Iterable[str]) -> None:
    """Give tables and functions to the owner, and continuous aggregates to the importer."""
    owner, importer = names["owner"], names["importer"]
    for table in (*tables, *_partitions(connection, kind)):
        _run(connection, "ALTER TABLE {} OWNER TO {}", _name(table), owner)
    for function in (*_FUNCTIONS[kind], *_TRIGGERS):
        _run(connection, "ALTER FUNCTION {} OWNER TO {}", sql.SQL(function), owner)
    if kind is TableKind.TIMESCALEDB:
        for view in _BARS:
            _run(connection, "ALTER MATERIALIZED VIEW {} OWNER TO {}", _name(view), importer)
        # A later migration may change the aggregates too.
        _run(connection, "GRANT {} TO {}", sql.Identifier(importer), owner)


def _grant_import(connection: Connection, importer: str, kind: TableKind) -> None:
    _grant(connection, "SELECT", (*_TABLES,), importer)
    _grant(connection, "INSERT", ("exchange", "trade", "trade_mark", "import_file"), importer)
    _grant(
        connection,
        f"INSERT (exchange_id, symbol_id, symbol), {_SYMBOL_STATE}",
        ["symbol"],
        importer,
    )
    if kind is TableKind.PLAIN:
        _grant(connection, "SELECT, INSERT, DELETE", _BARS, importer)
        _grant(connection, "INSERT", _partitions(connection, kind), importer)
    for function in _FUNCTIONS[kind]:
        _run(connection, "GRANT EXECUTE ON FUNCTION {} TO {}", sql.SQL(function), importer)


def _partitions(connection: Connection, kind: TableKind) -> list[str]:
    """The markets' own tables, as SQL writes them."""
    if kind is not TableKind.PLAIN:
        return []
    return [name for (name,) in connection.execute(_PARTITIONS)]


def _grant(connection: Connection, rights: str, relations: Iterable[str], role: str) -> None:
    for relation in relations:
        _run(connection, "GRANT {} ON {} TO {}", sql.SQL(rights), _name(relation), role)


def _name(relation: str) -> sql.SQL:
    """A relation's name, which is the catalogue's own text of it or a constant of this module."""
    return sql.SQL(relation)


def _run(connection: Connection, statement: str, *parts: sql.Composable | str) -> None:
    """Run a statement of these parts; a plain string is a role's name."""
    named = [sql.Identifier(part) if isinstance(part, str) else part for part in parts]
    connection.execute(sql.SQL(statement).format(*named))
