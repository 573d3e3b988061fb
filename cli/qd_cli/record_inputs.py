"""Bytes to records to produce: lines, lines with keys, JSON lines, or everything as one.

Sans-IO: whoever reads the input feeds it in chunks of any size. Memory holds one chunk and one
line, however long the input is.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from qd_cli.errors import FileBroken
from qd_fluvio import RECORD_BYTES_MAX

JSON_BYTES_MAX = 8 * RECORD_BYTES_MAX
"""Of one JSON line: escapes may make it longer than its record."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records in order, with as many keys.

    Attributes
    ----------
    error : FileBroken or None
        Why there are no more: what follows them makes no sense.
    """

    values: list[bytes]
    keys: list[bytes | None]
    error: FileBroken | None = None


Parse = Callable[[bytes, int], tuple[bytes | None, bytes]]
"""A line and its number to key and value."""


class Input(Protocol):
    """Turns chunks of input into records."""

    def feed(self, chunk: bytes) -> Records:
        """Take the next chunk; gives the records that are whole."""
        ...

    def end(self) -> Records:
        """Take the end of the input; gives what is left."""
        ...


class Lines:
    """Each line is one record; the line's end, also of Windows, is no part of it.

    Parameters
    ----------
    parse : callable
        Makes a record of a line; raises `FileBroken`, with the line's number.
    line_bytes_max : int
        Longer lines are refused before they fill the memory.
    """

    def __init__(self, parse: Parse, line_bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._parse = parse
        self._line_bytes_max = line_bytes_max
        self._rest = b""
        self._number = 0

    def feed(self, chunk: bytes) -> Records:
        """See `Input.feed`."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found = self._records(lines)
        if found.error is None:
            try:
                self._check(self._rest, self._number + 1)
            except FileBroken as error:
                return Records(found.values, found.keys, error)
        return found

    def end(self) -> Records:
        """See `Input.end`; a last line needs no line end."""
        lines, self._rest = [self._rest] if self._rest else [], b""
        return self._records(lines)

    def _records(self, lines: list[bytes]) -> Records:
        values: list[bytes] = []
        keys: list[bytes | None] = []
        for line in lines:
            self._number += 1
            try:
                key, value = self._read(line.removesuffix(b"\r"))
            except FileBroken as error:
                return Records(values, keys, error)
            values.append(value)
            keys.append(key)
        return Records(values, keys)

    def _read(self, line: bytes) -> tuple[bytes | None, bytes]:
        self._check(line, self._number)
        return self._parse(line, self._number)

    def _check(self, line: bytes, number: int) -> None:
        if len(line) > self._line_bytes_max:
            raise FileBroken(
                f"line {number} has more than {self._line_bytes_max} bytes, which no record may "
                "have; expected one record a line"
            )


class Whole:
    """Everything is one record.

    Parameters
    ----------
    key : bytes or None
        The record's key.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._parts: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> Records:
        """See `Input.feed`."""
        self._parts.append(chunk)
        self._bytes += len(chunk)
        if self._bytes > RECORD_BYTES_MAX:
            return Records(
                [],
                [],
                FileBroken(
                    f"the input has more than {RECORD_BYTES_MAX} bytes, which no record may have: "
                    "leave --raw out, or split it"
                ),
            )
        return Records([], [])

    def end(self) -> Records:
        """See `Input.end`."""
        return Records([b"".join(self._parts)], [self._key])


def plain(key: bytes | None) -> Parse:
    """A line is a value; all have the same key, or none."""
    return lambda line, _: (key, line)


def separated(separator: bytes) -> Parse:
    """A line is a key and a value, on both sides of the first separator."""

    def parse(line: bytes, number: int) -> tuple[bytes, bytes]:
        key, found, value = line.partition(separator)
        if not found:
            raise FileBroken(
                f"line {number} has no {separator.decode(errors='replace')!r}; expected a key, "
                "the separator and a value"
            )
        return key, value

    return parse


def from_json(line: bytes, number: int) -> tuple[bytes | None, bytes]:
    """A line is an object as `qd consume --output json` writes it."""
    try:
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        value = _bytes(found, "value")
        if value is None:
            raise ValueError("it has neither value nor value_base64")
        return _bytes(found, "key"), value
    except (ValueError, RecursionError) as error:
        raise FileBroken(
            f"line {number} is no record in JSON ({error}); expected an object such as "
            '{"key": "a", "value": "b"}'
        ) from None


def _bytes(found: dict[str, Any], name: str) -> bytes | None:
    text, encoded = found.get(name), found.get(f"{name}_base64")
    for given in (text, encoded):
        if given is not None and not isinstance(given, str):
            raise ValueError(f"its {name} is {type(given).__name__}, not a text")
    if encoded is not None:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"its {name}_base64 is not base64") from None
    return None if text is None else text.encode()
