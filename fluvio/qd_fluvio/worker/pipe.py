"""A worker's end of the socket pair: blocking reads and writes of whole frames.

When the parent is gone, nothing is left to do: reading and writing end the process.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque

from qd_fluvio.worker.frames import Frame, FrameDecoder, Kind, json_frame

_READ_BYTES = 256 * 1024


class Pipe:
    """Frames to and from the parent; writing is safe from any thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._decoder = FrameDecoder()
        self._frames: deque[Frame] = deque()
        self._writing = threading.Lock()

    def read(self) -> Frame:
        """The next frame; ends the process when the parent has closed its end."""
        while not self._frames:
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError:
                data = b""
            if not data:
                leave()
            self._frames.extend(self._decoder.feed(data))
        return self._frames.popleft()

    def write(self, data: bytes) -> None:
        """Write one frame; waits while the parent does not read."""
        try:
            with self._writing:
                self._socket.sendall(data)
        except OSError:
            leave()

    def fail(self, channel: int, error: BaseException) -> None:
        """Report an error in the client's own words; the parent gives them a type."""
        self.write(json_frame(Kind.FAILED, channel, text=str(error) or repr(error)))


def leave() -> None:
    """End this process at once: other threads may hang in the client."""
    os._exit(0)
