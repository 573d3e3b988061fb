"""What a look at a database says, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qd_store.administration.status import read_status
from qd_store.errors import DatabaseUnreachable
from qd_store.imports import import_paths
from qd_store.migrate import newest_version
from qd_store.tables import BAR_TABLES, TableKind
from support.databases import fresh_database
from support.markets import generated, write_csv


@pytest.fixture
def dsn(database_dsn: str) -> Iterator[str]:
    with fresh_database(database_dsn) as found:
        yield found


def test_markets_sizes_and_lag(dsn: str, tmp_path: Path) -> None:
    rows = generated(1, 3_000)
    write_csv(rows, tmp_path / "XBTUSD.csv")
    import_paths(dsn, [tmp_path], rejects_folder=tmp_path / "rejects")
    found = read_status(dsn)
    assert found.is_current
    (market,) = found.markets
    assert (market.exchange, market.exchange_id, market.symbol_id) == ("kraken", 1, 1)
    assert (market.symbol, market.trades) == ("XBTUSD", len(rows))
    assert (market.first_time, market.last_time) == (rows["time"][0], rows["time"][-1])
    assert (found.trades, found.trades_without_bars) == (3_000, 0)
    sizes = {each.name: each for each in found.relations}
    assert sizes.keys() >= {"trade", "trade_mark", "symbol", "import_file", *BAR_TABLES.values()}
    assert all(each.table_bytes > 0 for each in sizes.values())
    assert sizes["trade"].total_bytes < found.database_bytes
    if found.kind is TableKind.PLAIN:
        assert market.total_bytes == sizes["trade"].total_bytes
        assert (found.compression, found.timescaledb) == (None, None)
    else:
        assert market.total_bytes is None
        assert found.timescaledb
        assert found.compression is not None
        assert found.compression.chunks == found.compression.compressed_chunks > 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE symbol SET bars_sequence = 1000")
    assert read_status(dsn).trades_without_bars == 2_000


def test_without_tables_and_with_newer_ones(dsn: str) -> None:
    found = read_status(dsn)
    assert (found.version, found.kind, found.is_current) == (0, None, False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE schema_version (version integer, name text)")
        connection.execute("INSERT INTO schema_version VALUES (999, 'later')")
    found = read_status(dsn)
    assert (found.version, found.newest_version, found.is_current) == (999, newest_version(), False)


def test_nobody_there() -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        read_status("postgresql://qd:secret@127.0.0.1:1/qd")
    assert "secret" not in str(caught.value)
