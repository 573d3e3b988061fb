"""A database that falls silent: an import that is stopped ends all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from qd_store.errors import ImportStopped
from qd_store.imports import import_paths
from qd_store.tables import MarketTables, Stored
from support.relays import Relay


@pytest.fixture
def relay(dsn: str) -> Iterator[Relay]:
    address = urlsplit(dsn)
    if address.hostname is None or address.port is None:
        pytest.skip("the database has no host and port to stand in for")
    found = Relay((address.hostname, address.port))
    try:
        yield found
    finally:
        found.close()


def test_stopping_while_the_server_says_nothing(
    dsn: str, relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = urlsplit(dsn)
    login = address.netloc.rpartition("@")[0]
    relayed = urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{relay.port}"))
    path = tmp_path / "XBTEUR.csv"
    path.write_text("1514764802,1,1\n")
    stop, answered = threading.Event(), MarketTables.lock

    def lock(tables: MarketTables) -> Stored:
        relay.be_silent()
        stop.set()
        return answered(tables)

    monkeypatch.setattr(MarketTables, "lock", lock)
    monkeypatch.setattr("qd_store.imports.run._CANCEL_SECONDS_MAX", 0.5)
    with pytest.raises(ImportStopped):
        import_paths(relayed, [path], rejects_folder=tmp_path, stop=stop)
