"""How far the user has taken each stream, as the gateway is told: seldom, and the latest only.

Pure. The gateway sends no more than a window beyond what was taken, so a reader that stalls
stops the gateway, and what waits here stays within `WINDOW_BYTES` a stream.
"""

from __future__ import annotations

from qd_client.limits import ACKS_PER_WINDOW, WINDOW_BYTES
from qd_client.request import StreamRequest
from qd_schemas.messages import ExactBar, ExactTrade, StreamAck
from qd_schemas.table import layout_of
from qd_schemas.wire import VERSION


def window_rows(*, is_bars: bool) -> int:
    """How many rows of a kind `WINDOW_BYTES` hold."""
    message = ExactBar if is_bars else ExactTrade
    return WINDOW_BYTES // layout_of(message).total_bytes(VERSION)


class Acknowledgements:
    """What is to be said of all streams of a client."""

    def __init__(self) -> None:
        self._said: dict[int, StreamAck] = {}
        self._due: dict[int, StreamAck] = {}

    def took(self, request: StreamRequest, next_sequence: int) -> bool:
        """All rows of a stream before this one were taken; True where something is due now."""
        said = self._said.get(request.stream_id)
        before = request.range.first_sequence if said is None else said.sequence
        if next_sequence - before < request.window_rows // ACKS_PER_WINDOW:
            return False
        ack = StreamAck(request.client_id, request.stream_id, next_sequence)
        self._said[request.stream_id] = self._due[request.stream_id] = ack
        return True

    def due(self) -> list[StreamAck]:
        """What to send now; it is not given again."""
        due, self._due = self._due, {}
        return list(due.values())

    def repeat(self) -> None:
        """Have all that was said last said again: it may have been lost."""
        self._due = dict(self._said)

    def forget(self, stream_id: int) -> None:
        """The stream is over."""
        self._said.pop(stream_id, None)
        self._due.pop(stream_id, None)
