"""A way to a server that falls silent, or is cut, when a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Passes bytes between its port and a server's, until it is told otherwise.

    Attributes
    ----------
    port : int
        Where it listens.
    answered_bytes : int
        How much of the server it has passed.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._speaks = threading.Event()
        self._speaks.set()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listening]
        self._left: int | None = None
        self.answered_bytes = 0
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)

    def be_silent(self) -> None:
        self._speaks.clear()

    def cut_after(self, answered_bytes: int) -> None:
        """Cut connections once the server has sent so much more; new ones are cut at once."""
        self._left = answered_bytes

    def mend(self) -> None:
        """Pass everything again."""
        self._left = None

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
                self._start(self._answer, server, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                self._speaks.wait()
                if self._left is not None:
                    data = data[: self._left]
                    self._left -= len(data)
                    if not self._left:
                        break
                self.answered_bytes += len(data)
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
