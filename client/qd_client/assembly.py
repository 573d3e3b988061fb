"""Turns what one stream receives into arrays, and proves that nothing is missing.

Sans-IO: payloads in, arrays and errors out. A version 2 stream is whole when its frames'
sequence numbers follow each other and their rows are as many as Last… says. Version 1
carries neither, so there only First… and Last… can be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from qd_client.errors import StreamIncomplete
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

_FIRST = (FirstTradeBar.TEMPLATE, FirstOHLCVBar.TEMPLATE)
_LAST = (LastTradeBar.TEMPLATE, LastOHLCVBar.TEMPLATE)


class Assembly(Protocol):
    """What one stream has received."""

    @property
    def is_ended(self) -> bool:
        """True once Last… was taken in and all is there."""

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records of this stream, in order; gives their rows, None if they have none.

        Raises
        ------
        StreamIncomplete
            Something is missing, or the stream was ended early.
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
        self._began = False
        self._next: int | None = None  # the sequence that must come next
        self._rows = 0
        self.is_ended = False

    @property
    def _so_far(self) -> str:
        if self._next is None:
            return "before its first row"
        return f"after {self._rows} rows, the last with sequence {self._next - 1}"

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records; see `Assembly`."""
        parts: list[Rows] = []
        for payload in payloads:
            template = template_of(payload)
            if template == FrameHeader.TEMPLATE:
                parts.append(self._frame(payload))
            elif template in _FIRST:
                self._began = True
            elif is_last(payload):
                self._last(payload)
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _frame(self, payload: bytes) -> Rows:
        frame = self._read(payload)
        first, count = frame.header.first_sequence, frame.header.count
        if self._next is None:
            self._check_first(first)
        elif first != self._next:
            raise StreamIncomplete(
                f"{self._request}: sequence {first} came where {self._next} was expected, "
                f"{self._so_far}; ask again from sequence {self._next}"
            )
        self._next = first + count
        self._rows += count
        return frame.rows

    def _read(self, payload: bytes) -> Frame:
        try:
            frame = read_frame(payload)
        except DecodeError as error:
            raise StreamIncomplete(
                f"{self._request}: a frame is broken {self._so_far}: {error}"
            ) from None
        header, asked = frame.header, self._request
        if not self._began or (header.symbol_id, header.data_type_id, header.time_resolution) != (
            asked.symbol_id,
            asked.data_type,
            asked.resolution,
        ):
            raise StreamIncomplete(f"{asked}: a frame of something else came: {header}")
        return frame

    def _check_first(self, first: int) -> None:
        """Without a time range, the first row is the one that was asked for."""
        asked = self._request.range
        if first < asked.first_sequence or (asked.start is None and first != asked.first_sequence):
            raise StreamIncomplete(
                f"{self._request}: begins with sequence {first}, "
                f"not with {asked.first_sequence}; ask again"
            )

    def _last(self, payload: bytes) -> None:
        last = decode(payload)
        assert isinstance(last, LastTradeBar | LastOHLCVBar)
        if last.end_reason != EndReason.COMPLETE:
            raise StreamIncomplete(
                f"{self._request}: ended early by the gateway {self._so_far}; "
                f"ask again from sequence {self._next or self._request.range.first_sequence}"
            )
        if last.count != self._rows:
            raise StreamIncomplete(
                f"{self._request}: the gateway sent {last.count} rows, {self._rows} arrived; "
                "ask again"
            )
        self.is_ended = True


class ReferenceAssembly:
    """A version 1 stream: one f32 message a record. Its rows are numbered as they arrive."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self._rows = 0
        self.is_ended = False

    def add(self, payloads: Sequence[bytes]) -> Rows | None:
        """Take in records; see `Assembly`."""
        row = OHLCVBar if self._request.is_bars else TradeBar
        dtype = message_dtype(row, 1)
        code = row.TEMPLATE.to_bytes(2, "little")
        messages = [payload for payload in payloads if payload[2:4] == code]
        if set(map(len, messages)) - {dtype.itemsize}:
            raise StreamIncomplete(f"{self._request}: a {row.__name__} of a wrong length came")
        if len(messages) < len(payloads):
            self.is_ended = any(map(is_last, payloads))
        return self._unpack(np.frombuffer(b"".join(messages), dtype)) if messages else None

    def _unpack(self, messages: Rows) -> Rows:
        if self._request.is_bars:
            return _copied(messages, BAR, zip(BAR.names or (), _BAR_FIELDS, strict=True))
        names = (("time", "date_time"), ("price", "price"), ("volume", "volume"))
        rows = _copied(messages, TRADE, names)
        rows["sequence"] = np.arange(self._rows + 1, self._rows + 1 + len(rows))
        self._rows += len(rows)
        return rows


_BAR_FIELDS = ("date_time", "open_price", "high_price", "low_price", "close_price", "volume")


def _copied(messages: Rows, dtype: np.dtype[np.void], names: Iterable[tuple[str, str]]) -> Rows:
    rows: Rows = np.empty(len(messages), dtype)
    for name, field in names:
        rows[name] = messages[field]
    return rows
