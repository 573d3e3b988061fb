"""The server's answer to a COPY, from bytes to rows: a protocol without input or output.

The server sends each row as one message of binary COPY. All columns here are eight bytes wide
and never null, so all these messages are of one length, and numpy reads as many as there are
at once, without a call or an object for each row. The few other messages are read one by one.

Reference: PostgreSQL's documentation, "Message Formats" and "COPY: Binary Format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from qd_schemas.arrays import Rows
from qd_store.times import EPOCH_2000_US

MESSAGE_BYTES_MAX: Final = 1 << 20  # of messages that are no rows: errors, notices

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_COPY_HEADER_BYTES: Final = len(_SIGNATURE) + 8
_COPY_TRAILER: Final = b"\xff\xff"
_BUFFER_BYTES_MIN: Final = 16 * 1024
_READY: Final = b"Z\0\0\0\5"
_HEAD_BYTES: Final = 5  # of a message: its kind, and its length but for the kind
_ROW: Final = ord("d")
# What may come besides rows and is of no interest: the begin and end of an answer, notices,
# settings that changed, rows of a statement that is no COPY.
_IGNORED: Final = frozenset(b"HcCNSATDI")


@dataclass(frozen=True, slots=True)
class ServerError:
    """What the server said when it ended a statement.

    Attributes
    ----------
    sqlstate : str
        Five characters, of PostgreSQL's documentation, "Error Codes".
    text : str
        For a user.
    """

    sqlstate: str
    text: str


class WireViolation(Exception):
    """Bytes that no answer to such a statement has."""


def question(statement: str) -> bytes:
    """A statement as a message of the simple query protocol."""
    text = statement.encode() + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4) + text


def copy_of(select: str) -> str:
    """The statement that gives a query's rows in binary."""
    return f"COPY ({select}) TO STDOUT (FORMAT BINARY)"


class CopyAnswer:
    """Reads the answer to one statement.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the rows: fields of eight bytes, as the query's columns; ``time`` is a timestamp.
    """

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._dtype = dtype
        self._names = dtype.names or ()
        fields: list[tuple[str, str]] = [("kind", "u1"), ("length", ">u4"), ("columns", ">u2")]
        for name in self._names:
            fields += [(f"{name}_bytes", ">i4"), (name, dtype[name].newbyteorder(">").str)]
        self.wire = np.dtype(fields)
        self.row_bytes = self.wire.itemsize
        self.nothing: Rows = np.empty(0, dtype)
        self.error: ServerError | None = None
        self.ended = False

    def take(self, data: memoryview) -> tuple[Rows, int]:
        """Read all that is complete.

        Parameters
        ----------
        data : memoryview
            What came after the bytes taken so far.

        Returns
        -------
        rows : ndarray
        taken : int
            How many bytes were read; the others must come first the next time.

        Raises
        ------
        WireViolation
            This is no such answer.
        """
        parts: list[Rows] = []
        at = 0
        while not self.ended:
            rows, end = self._rows(data, at)
            if end == at:
                rows, end = self._message(data, at)
                if end == at:
                    break
            parts.append(rows)
            at = end
        return _joined(self.nothing, parts), at

    def _rows(self, data: memoryview, at: int) -> tuple[Rows, int]:
        """The row messages that follow each other from here."""
        found = np.ndarray(((len(data) - at) // self.row_bytes,), self.wire, data, at)
        fit = (found["kind"] == _ROW) & (found["length"] == self.row_bytes - 1)
        count = len(fit) if fit.all() else int(np.argmin(fit))
        return self.converted(found[:count]), at + count * self.row_bytes

    def converted(self, found: Rows) -> Rows:
        """Rows as they are used, of rows as they are sent."""
        rows = np.empty(len(found), self._dtype)
        for name in self._names:
            rows[name] = found[name]
        if "time" in self._names:
            rows["time"] += EPOCH_2000_US
        return rows

    def _message(self, data: memoryview, at: int) -> tuple[Rows, int]:
        """One message of any kind; none where it is not complete."""
        body = at + _HEAD_BYTES
        if len(data) < body:
            return self.nothing, at
        end = at + 1 + int.from_bytes(data[at + 1 : body])
        if not body <= end <= at + MESSAGE_BYTES_MAX:
            raise WireViolation(f"a message of {end - at} bytes")
        if len(data) < end:
            return self.nothing, at
        kind, text = data[at], bytes(data[body:end])
        if kind == _ROW:
            return self._odd_row(text), end
        if kind == ord("E"):
            self.error = _error(text)
        elif kind == ord("Z"):
            self.ended = True
        elif kind not in _IGNORED:
            raise WireViolation(f"a message of kind {chr(kind)!r}")
        return self.nothing, end

    def _odd_row(self, text: bytes) -> Rows:
        """The first message, which begins with the format's header, or the last, its trailer."""
        if text.startswith(_SIGNATURE):
            text = text[_COPY_HEADER_BYTES:]
        if text in (b"", _COPY_TRAILER):
            return self.nothing
        if len(text) != self.row_bytes - _HEAD_BYTES:
            raise WireViolation(
                f"a row of {len(text)} bytes; expected {self.row_bytes - _HEAD_BYTES}: no nulls, "
                "columns of eight bytes"
            )
        return self.converted(np.frombuffer(bytes(_HEAD_BYTES) + text, self.wire))


class CopyMessages:
    """Reads a COPY that libpq took out of the server's answer: its messages, nothing else.

    Parameters
    ----------
    dtype : numpy.dtype
        As of `CopyAnswer`.
    """

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._answer = CopyAnswer(dtype)
        self._head = b"d" + (self._answer.row_bytes - 1).to_bytes(4)

    def take(self, messages: Sequence[bytes]) -> Rows:
        """The rows of messages that follow each other.

        Raises
        ------
        WireViolation
            This is no such COPY.
        """
        rows = [self._row(message) for message in messages[:1]] + list(messages[1:])
        if rows and rows[-1] in (b"", _COPY_TRAILER):
            rows.pop()
        data = self._head.join([b"", *rows])
        if len(data) != len(rows) * self._answer.row_bytes:
            raise WireViolation(
                f"{len(data)} bytes in {len(rows)} rows; expected {self._answer.row_bytes} each: "
                "no nulls, columns of eight bytes"
            )
        return self._answer.converted(np.frombuffer(data, self._answer.wire))

    def _row(self, first: bytes) -> bytes:
        return first[_COPY_HEADER_BYTES:] if first.startswith(_SIGNATURE) else first


class AnswerBuffer:
    """Collects an answer's bytes until it is worth while to make rows of them: constant memory.

    Parameters
    ----------
    dtype : numpy.dtype
        As of `CopyAnswer`.
    batch_rows : int
        How many rows it holds.
    """

    def __init__(self, dtype: np.dtype[np.void], batch_rows: int) -> None:
        self.answer = CopyAnswer(dtype)
        self._bytes = bytearray(max(batch_rows * self.answer.row_bytes, _BUFFER_BYTES_MIN))
        self._filled = 0

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return memoryview(self._bytes)[self._filled :]

    def received(self, count: int) -> Rows:
        """Note that bytes came, 0 at the end of the connection; return rows, mostly none.

        Raises
        ------
        WireViolation
            This is no such answer.
        """
        self._filled += count
        if count and self._filled < len(self._bytes) and not self._may_end():
            return self.answer.nothing
        return self._taken()

    def _taken(self) -> Rows:
        with memoryview(self._bytes)[: self._filled] as view:
            rows, taken = self.answer.take(view)
        self._bytes[: self._filled - taken] = self._bytes[taken : self._filled]
        self._filled -= taken
        if self._filled == len(self._bytes):
            self._bytes.extend(bytes(self._filled))  # for a message longer than all of it
        return rows

    def _may_end(self) -> bool:
        return self._bytes[max(self._filled - 6, 0) : self._filled - 1] == _READY


def _joined(nothing: Rows, parts: list[Rows]) -> Rows:
    filled = [rows for rows in parts if len(rows)]
    return filled[0] if len(filled) == 1 else np.concatenate([nothing, *filled])


def _error(text: bytes) -> ServerError:
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in text.split(b"\0")}
    return ServerError(fields.get(b"C", ""), " ".join(fields.get(b"M", "no message").split()))
