"""What a market database holds and takes: a look that changes nothing and scans no table.

Counts are those that imports keep; `qd_store.administration.check` counts itself. Sizes are
the server's, tables and indexes together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from qd_store.connections import connect, translating
from qd_store.migrate import newest_version, version_of
from qd_store.tables import BAR_TABLES, TableKind, kind_of

UNCOMPRESSED_ROW_BYTES: Final = 68
"""A trade in a plain table without its index: pointer 4, header 24, columns with padding 40."""

_MARKETS = """
SELECT exchange.name AS exchange, exchange_id, symbol_id, symbol, trades,
    (extract(epoch FROM first_time) * 1000000)::bigint AS first_time,
    (extract(epoch FROM last_time) * 1000000)::bigint AS last_time,
    trades - bars_sequence AS trades_without_bars, {size} AS total_bytes
FROM symbol JOIN exchange USING (exchange_id) ORDER BY exchange_id, symbol_id
"""
# Of a hypertable, a market's rows lie among the others'.
_MARKET_SIZE: Final[dict[TableKind, LiteralString]] = {
    TableKind.PLAIN: "pg_total_relation_size(to_regclass(format('trade_%s_%s', exchange_id, "
    "symbol_id)))",
    TableKind.TIMESCALEDB: "NULL::bigint",
}
_RELATION_SIZE: Final[LiteralString] = """
SELECT sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint
FROM (SELECT {name}::regclass AS relid UNION SELECT relid FROM pg_partition_tree({name})) AS parts
"""
_HYPERTABLE_SIZE: Final[LiteralString] = """
SELECT table_bytes + toast_bytes, index_bytes FROM {schema}.hypertable_detailed_size({name})
"""
_EXTENSION = """
SELECT extversion, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'timescaledb'
"""
_CHUNKS = """
SELECT count(*), count(*) FILTER (WHERE is_compressed) FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'
"""
_SERVER = """
SELECT current_database(), current_user,
    split_part(current_setting('server_version'), ' ', 1), pg_database_size(current_database())
"""


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """One market.

    Attributes
    ----------
    trades_without_bars : int
        How many trades stored bars lack so far; readers make their bars of the trades.
    total_bytes : int or None
        Of its trades and their index; None where markets share tables.
    """

    exchange: str
    exchange_id: int
    symbol_id: int
    symbol: str
    trades: int
    first_time: int | None
    last_time: int | None
    trades_without_bars: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class RelationStatus:
    """One relation with all its partitions or chunks."""

    name: str
    table_bytes: int
    index_bytes: int

    @property
    def total_bytes(self) -> int:
        """Table and indexes."""
        return self.table_bytes + self.index_bytes


@dataclass(frozen=True, slots=True)
class Compression:
    """How trades are compressed.

    Attributes
    ----------
    chunks, compressed_chunks : int
        All chunks of trades, and those that hold compressed rows.
    ratio : float or None
        The bytes of all trades in plain rows, over the bytes they take; None without trades.
    """

    chunks: int
    compressed_chunks: int
    ratio: float | None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """What `read_status` found.

    Attributes
    ----------
    version, newest_version : int
        Of the tables, 0 where there are none; and of this program's.
    kind : TableKind or None
        None where the tables are missing, or of another version.
    timescaledb : str or None
        The extension's version, where it is used.
    """

    database: str
    user: str
    server_version: str
    database_bytes: int
    version: int
    newest_version: int
    kind: TableKind | None = None
    timescaledb: str | None = None
    markets: Sequence[MarketStatus] = ()
    relations: Sequence[RelationStatus] = ()
    compression: Compression | None = None

    @property
    def trades(self) -> int:
        """Of all markets."""
        return sum(market.trades for market in self.markets)

    @property
    def trades_without_bars(self) -> int:
        """Of all markets."""
        return sum(market.trades_without_bars for market in self.markets)

    @property
    def is_current(self) -> bool:
        """Whether the tables are of this program's version."""
        return self.version == self.newest_version


def read_status(dsn: str) -> DatabaseStatus:
    """Look at a market database; of tables of another version only the version is read.

    Raises
    ------
    DatabaseUnreachable, ConnectionLost, QueryFailed
        About the database.
    """
    with translating(), connect(dsn) as connection, connection.transaction():
        row = connection.execute(_SERVER).fetchone()
        assert row is not None  # an expression always gives one
        database, user, server, size = row
        present, newest = version_of(connection), newest_version()
        status = DatabaseStatus(database, user, server, size, present, newest)
        if not status.is_current:
            return status
        kind = kind_of(connection)
        if kind is TableKind.PLAIN:
            return _with_tables(connection, status, kind, _RELATION_SIZE, "public")
        extension, schema = connection.execute(_EXTENSION).fetchone() or ("", "public")
        status = replace(status, timescaledb=extension)
        status = _with_tables(connection, status, kind, _HYPERTABLE_SIZE, schema)
        return replace(status, compression=_compression(connection, status))


def _with_tables(
    connection: psycopg.Connection[Any],
    status: DatabaseStatus,
    kind: TableKind,
    big: LiteralString,
    schema: str,
) -> DatabaseStatus:
    """Add the markets, and the sizes of relations; `big` asks for that of trades and bars."""
    markets = connection.cursor(row_factory=class_row(MarketStatus)).execute(
        sql.SQL(_MARKETS).format(size=sql.SQL(_MARKET_SIZE[kind]))
    )
    relations = []
    for name in ("trade", "trade_mark", *BAR_TABLES.values(), "symbol", "import_file"):
        query = big if name == "trade" or name.startswith("bar_") else _RELATION_SIZE
        row = connection.execute(
            sql.SQL(query).format(name=sql.Literal(name), schema=sql.Identifier(schema))
        ).fetchone()
        relations.append(RelationStatus(name, *(row or (0, 0))))
    return replace(status, kind=kind, markets=markets.fetchall(), relations=relations)


def _compression(connection: psycopg.Connection[Any], status: DatabaseStatus) -> Compression:
    chunks, compressed = connection.execute(_CHUNKS).fetchone() or (0, 0)
    taken = next(each.table_bytes for each in status.relations if each.name == "trade")
    ratio = status.trades * UNCOMPRESSED_ROW_BYTES / taken if status.trades and taken else None
    return Compression(chunks, compressed, ratio)
