"""The small HTTP server of a service: ``/metrics`` for Prometheus, ``/livez`` and ``/readyz``.

It runs in a thread of its own, so it answers while the service's event loop does not turn, and
says so. It knows nothing of what a service does; the service tells its `Health` what is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from qd_schemas.errors import QdError
from qd_schemas.specs import Address

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOOP_SECONDS_MAX: Final = 5.0
"""A service whose event loop has not turned for longer is not alive."""
_TURN_SECONDS: Final = 0.5
_REQUEST_SECONDS_MAX: Final = 10.0  # for a peer to send its request and take the answer
_REQUESTS_AT_ONCE: Final = 32
_POLL_SECONDS: Final = 0.05  # how soon the server sees that it is to stop
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class CannotListen(QdError):
    """The address for metrics and health is taken, or is not this machine's."""


class Health:
    """Whether a service is alive and ready, and if not, why. Any thread may ask.

    Parameters
    ----------
    waiting : mapping of str to str, optional
        What must be good before the service is ready, and why it is not yet:
        ``{"cluster": "not connected yet"}``.
    clock : callable, optional
        Seconds that never go back.
    """

    def __init__(
        self,
        waiting: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._problems = dict(waiting or {})
        self._clock = clock
        self._turned_at = clock()

    def good(self, part: str) -> None:
        """Note that a part is as it should be."""
        self._replace({name: why for name, why in self._problems.items() if name != part})

    def bad(self, part: str, why: str) -> None:
        """Note that the service is not ready, and why; it must hold no secret."""
        self._replace({**self._problems, part: why})

    def turned(self) -> None:
        """Note that the service's event loop turns."""
        self._turned_at = self._clock()

    def not_alive(self) -> dict[str, str]:
        """What is wrong with the process itself; empty where it is alive."""
        still = self._clock() - self._turned_at
        if still <= LOOP_SECONDS_MAX:
            return {}
        return {"event loop": f"it has not turned for {still:.1f} s"}

    def not_ready(self) -> dict[str, str]:
        """What keeps the service from serving; empty where it is ready."""
        return {**self._problems, **self.not_alive()}

    def _replace(self, problems: dict[str, str]) -> None:
        self._problems = problems  # as a whole: other threads read it


@contextlib.asynccontextmanager
async def telemetry(
    where: Address | None, setting: str, registry: CollectorRegistry, health: Health
) -> AsyncIterator[str]:
    """Serve metrics and health while the block runs.

    Parameters
    ----------
    where : Address or None
        Where to listen; port 0 takes a free one. None serves nothing.
    setting : str
        The setting that names the address, for the error.
    registry : CollectorRegistry
        The metrics.
    health : Health
        What is told at /livez and /readyz. While the block runs, the event loop's turns are
        noted there.

    Yields
    ------
    str
        ``host:port``; empty for nowhere.

    Raises
    ------
    CannotListen
        The address is taken, or is not this machine's.
    """
    if where is None:
        yield ""
        return
    server = await asyncio.to_thread(_listen, where, setting, application(registry, health))
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_SECONDS,), name="telemetry", daemon=True
    )
    thread.start()
    turning = asyncio.create_task(_turn(health))
    try:
        yield Address(where.host, server.server_port).endpoint
    finally:
        turning.cancel()
        server.shutdown()
        server.server_close()
        thread.join()


async def _turn(health: Health) -> None:
    while True:
        health.turned()
        await asyncio.sleep(_TURN_SECONDS)


def application(registry: CollectorRegistry, health: Health) -> WSGIApplication:
    """What the server answers, as a WSGI application."""
    metrics = make_wsgi_app(registry)
    checks = {"/livez": health.not_alive, "/readyz": health.not_ready}

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start)
            return found
        if path not in checks:
            return _told(environ, start, "404 Not Found", ["expected /metrics, /livez or /readyz"])
        problems = checks[path]()
        if not problems:
            return _told(environ, start, "200 OK", ["ok"])
        lines = [f"{part}: {why}" for part, why in problems.items()]
        return _told(environ, start, "503 Service Unavailable", lines)

    return answer


def _told(
    environ: WSGIEnvironment, start: StartResponse, status: str, lines: list[str]
) -> list[bytes]:
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        status, lines = "405 Method Not Allowed", ["expected GET or HEAD"]
    body = "".join(f"{line}\n" for line in lines).encode(errors="replace")
    start(status, [_TEXT, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _listen(where: Address, setting: str, app: WSGIApplication) -> WSGIServer:
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        family, address = found[0][0], str(found[0][4][0])
        kind = _Server6 if family == socket.AF_INET6 else _Server
        return make_server(address, where.port, app, kind, _Handler)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {where.endpoint} ({error.strerror}); "
            f"expected a free port of this machine in {setting}, or port 0"
        ) from error


class _Handler(WSGIRequestHandler):
    """One request; a peer that is slow with it is let go, and none is logged."""

    timeout = _REQUEST_SECONDS_MAX

    def log_message(self, format: str, *args: Any) -> None:
        """Leave it out: probes come every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, some at once; more are closed."""

    daemon_threads = True
    request_queue_size = _REQUESTS_AT_ONCE

    def __init__(self, *args: Any) -> None:
        self._places = threading.BoundedSemaphore(_REQUESTS_AT_ONCE)
        super().__init__(*args)

    def server_bind(self) -> None:
        """Bind; the inherited one asks DNS for this machine's name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, where there is a place."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and leave the place to the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave it out: the peer went away, or was too slow."""


class _Server6(_Server):
    address_family = socket.AF_INET6
