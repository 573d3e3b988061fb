"""A database that falls silent: an import that is stopped ends all the same."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from qd_store.errors import ImportStopped
from qd_store.imports import import_paths
from qd_store.tables import MarketTables, Stored

pytestmark = pytest.mark.timeout(60)


class Relay:
    """Passes bytes between its port and a server's, until it is told to be silent."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._speaks = threading.Event()
        self._speaks.set()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listening]
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)

    def be_silent(self) -> None:
        self._speaks.clear()

    def close(self) -> None:
        self._speaks.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _start(self, run: object, *args: socket.socket) -> None:
        assert callable(run)
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                self._start(self._pass, client, server)
                self._start(self._pass, server, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


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
