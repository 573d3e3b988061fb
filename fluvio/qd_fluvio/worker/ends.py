"""Where a partition ends, asked of its leader in the parent's ready-made words.

The official client does not tell it, and the codecs would make a worker start twice as
slowly; so the parent hands over the request's bytes, and of the answer only its last field
is read. It saves time and nothing depends on it: whatever goes wrong, there is no answer.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

ANSWER_SECONDS = 1.0
ANSWER_BYTES_MAX = 4096
_LENGTH = struct.Struct(">i")
_END = struct.Struct(">q")


class Ends:
    """Asks one partition's leader, over one connection.

    Parameters
    ----------
    leader : str
        ``host:port`` of the SPU.
    question : str
        A FetchOffsets request for just this partition, as a whole frame in hexadecimal digits.
    tls : mapping, optional
        Paths of the files ``ca``, ``cert`` and ``key``, and the ``name`` that the leader's
        certificate must be for; without it the connection has no TLS.
    """

    def __init__(self, leader: str, question: str, tls: Mapping[str, str] | None = None) -> None:
        self._leader = leader
        self._question = bytes.fromhex(question)
        self._tls = tls
        self._socket: socket.socket | None = None
        self._useless = not question

    def ask(self) -> int | None:
        """The next offset to be written, or None if it cannot be had."""
        if self._useless:
            return None
        try:
            return self._ask()
        except (OSError, ValueError, struct.error):
            self._useless = True
            return None

    def _ask(self) -> int:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(self._question)
        (length,) = _LENGTH.unpack(self._read(self._socket, _LENGTH.size))
        if not _END.size <= length <= ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of {length} bytes")
        (end,) = _END.unpack_from(self._read(self._socket, length), length - _END.size)
        return int(end)

    def _connect(self) -> socket.socket:
        host, _, port = self._leader.rpartition(":")
        plain = socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS)
        if self._tls is None:
            return plain
        import ssl  # takes a tenth of a worker's start, and is seldom needed

        context = ssl.create_default_context(cafile=self._tls["ca"])
        context.load_cert_chain(self._tls["cert"], self._tls["key"])
        return context.wrap_socket(plain, server_hostname=self._tls["name"])

    def _read(self, source: socket.socket, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            data = source.recv(count - len(found))
            if not data:
                raise ConnectionError("closed")
            found += data
        return bytes(found)
