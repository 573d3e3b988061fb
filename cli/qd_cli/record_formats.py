"""Records to bytes for standard output, a batch at a time. Nothing here reads or prints.

On a terminal what records hold must not act on it: characters that are not printable are shown
as escapes there. Elsewhere every byte stays as it is.
"""

from __future__ import annotations

import base64
import enum
import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from qd_cli import console
from qd_cli.errors import RequestRefused

if TYPE_CHECKING:
    from qd_fluvio import Record

Write = Callable[[str, int, Sequence["Record"]], bytes]
"""A topic, a partition and records of it to what is printed."""


class Output(enum.Enum):
    """How records are printed."""

    TEXT = "text"  # each value on a line
    JSON = "json"  # each record as an object on a line
    RAW = "raw"  # the values' bytes with nothing between
    HEX = "hex"  # each value on a line, in hexadecimal
    SBE = "sbe"  # each message of the system's schema as an object on a line


_NO_KEY = b"null"
_NO_TIME = "NA"
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NULL = "null"
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_FIELD = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def text_writer(*, key_value: bool = False, safe: bool = False) -> Write:
    """Values on lines, with `key_value` as ``[key] value``."""
    shown = _safe if safe else _as_is

    def write(_topic: str, _partition: int, records: Sequence[Record]) -> bytes:
        if key_value:
            values = [b"[%b] %b" % (_key(record, shown), shown(record.value)) for record in records]
        else:
            values = [shown(record.value) for record in records]
        return b"\n".join(values) + b"\n"

    return write


def raw(_topic: str, _partition: int, records: Sequence[Record]) -> bytes:
    """The values' bytes, with nothing between."""
    return b"".join([record.value for record in records])


def hex_writer(*, key_value: bool = False) -> Write:
    """Values on lines, in hexadecimal."""

    def write(_topic: str, _partition: int, records: Sequence[Record]) -> bytes:
        lines = []
        for record in records:
            key = _NO_KEY.decode() if record.key is None else record.key.hex()
            lines.append(f"[{key}] " * key_value + f"{record.value.hex()}\n")
        return "".join(lines).encode()

    return write


def json_lines(topic: str, partition: int, records: Sequence[Record]) -> bytes:
    """Each record as an object on a line; what is no UTF-8 is in base64 under another name."""
    # Put together by hand: there may be millions, and this takes a third of the time.
    head = f'{{"topic": {_quoted(topic)}, "partition": {partition}, "offset": '
    lines = [
        f"{head}{record.offset}, "
        f'"time": {_NULL if (time := time_of(record)) is None else _quoted(time)}, '
        f"{_json_bytes('key', record.key)}, {_json_bytes('value', record.value)}}}\n"
        for record in records
    ]
    return "".join(lines).encode()


def template_writer(template: str, *, safe: bool = False) -> Write:
    """Records by a template such as ``{{offset}}: {{key}} is {{value}}``, each on a line.

    Raises
    ------
    RequestRefused
        It names something else than a record has.
    """
    shown = _safe if safe else _as_is
    pieces = _FIELD.split(template)  # text, name, text, name, ..., text
    for name in pieces[1::2]:
        if name not in _FIELDS:
            known = " ".join(f"{{{{{field}}}}}" for field in _FIELDS)
            raise RequestRefused(f"--format has {{{{{name}}}}}; expected only {known}")
    texts = [piece.encode() for piece in pieces[::2]]
    fields = [_FIELDS[name] for name in pieces[1::2]]

    def write(topic: str, partition: int, records: Sequence[Record]) -> bytes:
        lines = []
        for record in records:
            parts = [texts[0]]
            for field, text in zip(fields, texts[1:], strict=True):
                parts += (shown(field(topic, partition, record)), text)
            lines.append(b"".join(parts) + b"\n")
        return b"".join(lines)

    return write


_FIELDS: dict[str, Callable[[str, int, Record], bytes]] = {
    "key": lambda _topic, _partition, record: _NO_KEY if record.key is None else record.key,
    "value": lambda _topic, _partition, record: record.value,
    "offset": lambda _topic, _partition, record: b"%d" % record.offset,
    "partition": lambda _topic, partition, _record: b"%d" % partition,
    "topic": lambda topic, _partition, _record: topic.encode(),
    "time": lambda _topic, _partition, record: (time_of(record) or _NO_TIME).encode(),
    "timestamp": lambda _topic, _partition, record: b"%d" % record.timestamp_ms,
}


def time_of(record: Record) -> str | None:
    """When the record was made, ISO 8601 in UTC; None where its producer did not say."""
    return None if record.timestamp_ms < 0 else _iso_time(record.timestamp_ms)


@lru_cache(maxsize=1_024)  # a batch's records have few
def _iso_time(milliseconds: int) -> str:
    try:
        return console.iso_time(milliseconds * 1_000)
    except OverflowError:  # no time that a calendar has
        return str(milliseconds)


def _key(record: Record, shown: Callable[[bytes], bytes]) -> bytes:
    return _NO_KEY if record.key is None else shown(record.key)


def _as_is(data: bytes) -> bytes:
    return data


def _safe(data: bytes) -> bytes:
    text = data.decode(errors="backslashreplace")
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text).encode()


def _json_bytes(name: str, data: bytes | None) -> str:
    if data is None:
        return f'"{name}": {_NULL}'
    try:
        return f'"{name}": {_quoted(data.decode())}'
    except UnicodeDecodeError:
        return f'"{name}_base64": "{base64.b64encode(data).decode()}"'
