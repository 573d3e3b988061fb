"""TLS contexts that follow their files: a renewed certificate counts from the next connection on.

A connection that is open keeps what it was made with. No connections are made here.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from qd_schemas.errors import QdError

_log = logging.getLogger("tls")

_Stamp = tuple[tuple[int, int, int] | None, ...]


class RenewedContext:
    """A context that is made anew once one of its files is another.

    Parameters
    ----------
    make : callable
        Makes one of the files as they are; QdError where it cannot.
    paths : iterable of Path or str
        The files.

    Raises
    ------
    QdError
        What `make` raises at first. Later the context stays what it was, and the log says why.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext], paths: Iterable[Path | str]) -> None:
        self._make = make
        self._paths = tuple(paths)
        self._stamp = self._seen()
        self._context = make()

    def now(self) -> ssl.SSLContext:
        """The context of the files as they are now."""
        seen = self._seen()
        if seen != self._stamp:
            self._stamp = seen
            try:
                self._context = self._make()
            except QdError as error:
                _log.warning("going on with the certificates loaded before: %s", error)
            else:
                _log.info("took the renewed certificates of %s", ", ".join(map(str, self._paths)))
        return self._context

    def _seen(self) -> _Stamp:
        return tuple(map(_stamp, self._paths))


def renewed_server(
    make: Callable[[], ssl.SSLContext], paths: Iterable[Path | str]
) -> ssl.SSLContext:
    """A server's context, of which each handshake takes the files as they are.

    Parameters and errors are those of `RenewedContext`.
    """
    renewed = RenewedContext(make, paths)
    context = renewed.now()

    def greeted(socket: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        socket.context = renewed.now()

    context.sni_callback = greeted  # called for each greeting, also without a name
    return context


def _stamp(path: Path | str) -> tuple[int, int, int] | None:
    """What is another for another file; a file that is not there has none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
