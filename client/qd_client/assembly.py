"""Turns what one request's stream receives into arrays, and proves that nothing is missing.

Sans-IO: payloads in, arrays and a fault out. A version 2 stream is whole when its frames'
sequence numbers follow each other and their rows are as many as Last… says. Frames may come
again, whole or in part: each sequence is taken once. What is no frame of this stream is passed
over, since anyone can write to a topic; what it stood for shows as a gap. Version 1 carries
neither numbers nor counts, so there only First… and Last… can be checked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from qd_client.errors import StreamIncomplete, StreamInterrupted
from qd_client.request import StreamRequest
from qd_schemas.arrays import BAR, TRADE, Rows, message_dtype
from qd_schemas.codec import decode
from qd_schemas.enums import EndReason
from qd_schemas.errors import DecodeError
from qd_schemas.frames import Frame, read_frame
from qd_schemas.messages import (
    FirstOHLCVBar,
    FirstTradeBar,
    FrameHeader,
    LastOHLCVBar,
    LastTradeBar,
    OHLCVBar,
    TradeBar,
)
from qd_schemas.wire import NO_COUNT

_FIRST = (FirstTradeBar.TEMPLATE, FirstOHLCVBar.TEMPLATE)
_LAST = (LastTradeBar.TEMPLATE, LastOHLCVBar.TEMPLATE)

_log = logging.getLogger("qd_client.stream")


class Assembly(Protocol):
    """What one request's stream has received."""

    is_ended: bool
    """True once Last… was taken in and all is there."""
    fault: StreamIncomplete | None
    """Why nothing more can be had of this request: a gap, or an early end."""

    @property
    def next_sequence(self) -> int:
        """The row that comes next, as the stream itself numbers its rows."""

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records of this stream, in order, up to its end or a fault.

        Gives their rows, None if they have none.
        """


def template_of(payload: bytes) -> int:
    """The template id of a record's first message, 0 where it has none."""
    return int.from_bytes(payload[2:4], "little") if len(payload) >= 10 else 0


def is_last(payload: bytes) -> bool:
    """True for the message that ends a stream."""
    return template_of(payload) in _LAST


class ExactAssembly:
    """A version 2 stream: packed frames between First… and Last…."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self._next: int | None = None  # the sequence that must come next
        self._rows = 0
        self.is_ended = False
        self.fault: StreamIncomplete | None = None

    @property
    def next_sequence(self) -> int:
        """See `Assembly`."""
        return self._request.range.first_sequence if self._next is None else self._next

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records; see `Assembly`."""
        parts: list[Rows] = []
        for payload in payloads:
            template = template_of(payload)
            if template == FrameHeader.TEMPLATE:
                rows = self._frame(payload)
                if rows is not None:
                    parts.append(rows)
            elif template in _LAST:
                self._last(payload)
            if self.is_ended or self.fault is not None:
                break
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _frame(self, payload: bytes) -> Rows | None:
        frame = self._read(payload)
        if frame is None:
            return None
        first, rows = frame.header.first_sequence, frame.rows
        if self._next is None and self._may_begin(first):
            self._next = first
        if first > self.next_sequence:
            self._lack(first)
            return None
        fresh = rows[self.next_sequence - first :]
        if not len(fresh):
            return None
        self._next = self.next_sequence + len(fresh)
        self._rows += len(fresh)
        return fresh

    def _read(self, payload: bytes) -> Frame | None:
        try:
            frame = read_frame(payload)
        except DecodeError as error:
            _log.warning("%s: ignored a frame that is broken: %s", self._request, error)
            return None
        header, asked = frame.header, self._request
        found = (header.symbol_id, header.data_type_id, header.time_resolution)
        if found != (asked.symbol_id, asked.data_type, asked.resolution):
            _log.warning("%s: ignored a frame of something else: %s", asked, header)
            return None
        return frame

    def _may_begin(self, first: int) -> bool:
        """With a time range the first trade may be any; bars are counted from its beginning."""
        asked = self._request
        by_time = asked.range.start is not None and not asked.is_bars
        return by_time and first >= asked.range.first_sequence

    def _lack(self, found: int) -> None:
        """Note that a row came, or is said to exist, before which others did not come."""
        expected = self.next_sequence
        so_far = f"after {self._rows} rows" if self._rows else "as the first one"
        self.fault = StreamIncomplete(
            f"{self._request}: sequence {found} came where {expected} was expected, {so_far}",
            expected,
            found,
        )

    def _last(self, payload: bytes) -> None:
        last = decode(payload)
        assert isinstance(last, LastTradeBar | LastOHLCVBar)
        if last.end_reason == EndReason.INTERRUPTED:
            self.fault = StreamInterrupted(
                f"{self._request}: interrupted by the gateway, which stops, was started again or "
                "gave this client to another one"
            )
        elif last.end_reason != EndReason.COMPLETE:
            self.fault = StreamIncomplete(f"{self._request}: ended early by the gateway")
        elif last.count == self._rows or last.count == NO_COUNT:
            self.is_ended = True
        else:
            self._miscounted(last.count)

    def _miscounted(self, count: int) -> None:
        """Rows at the end did not come, or the gateway counts others than it sent."""
        if count > self._rows:
            self._lack(self.next_sequence + count - self._rows)
        else:
            self.fault = StreamIncomplete(
                f"{self._request}: the gateway says that it sent {count} rows, "
                f"{self._rows} arrived; its database was perhaps changed meanwhile"
            )


class ReferenceAssembly:
    """A version 1 stream: one f32 message a record. Its rows are numbered as they arrive."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self._rows = 0
        self.is_ended = False
        self.fault: StreamIncomplete | None = None

    @property
    def next_sequence(self) -> int:
        """See `Assembly`."""
        return self._rows + 1

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records; see `Assembly`."""
        row = OHLCVBar if self._request.is_bars else TradeBar
        dtype = message_dtype(row, 1)
        code = row.TEMPLATE.to_bytes(2, "little")
        messages = [payload for payload in payloads if payload[2:4] == code]
        if set(map(len, messages)) - {dtype.itemsize}:
            self.fault = StreamIncomplete(
                f"{self._request}: a {row.__name__} of a wrong length came; ask again, or use "
                "version 2, which proves what is whole"
            )
            return None
        if len(messages) < len(payloads):
            self.is_ended = any(map(is_last, payloads))
        return self._unpack(np.frombuffer(b"".join(messages), dtype)) if messages else None

    def _unpack(self, messages: Rows) -> Rows:
        first, self._rows = self._rows + 1, self._rows + len(messages)
        if self._request.is_bars:
            return _copied(messages, BAR, zip(BAR.names or (), _BAR_FIELDS, strict=True))
        names = (("time", "date_time"), ("price", "price"), ("volume", "volume"))
        rows = _copied(messages, TRADE, names)
        rows["sequence"] = np.arange(first, self._rows + 1)
        return rows


_BAR_FIELDS = ("date_time", "open_price", "high_price", "low_price", "close_price", "volume")


def _copied(messages: Rows, dtype: np.dtype[np.void], names: Iterable[tuple[str, str]]) -> Rows:
    rows: Rows = np.empty(len(messages), dtype)
    for name, field in names:
        rows[name] = messages[field]
    return rows
