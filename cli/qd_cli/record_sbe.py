"""Records of the system's own topics as JSON lines: one object for each SBE message.

A packed frame gives an object for each of its rows. Nothing here reads or prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qd_cli import console
from qd_cli.errors import NotDecoded
from qd_schemas.codec import decode_at, iter_messages
from qd_schemas.enums import DataType
from qd_schemas.errors import DecodeError
from qd_schemas.frames import read_frame
from qd_schemas.messages import ExactBar, ExactTrade, FrameHeader, Message
from qd_schemas.table import Field, layout_of

if TYPE_CHECKING:
    from qd_fluvio import Record

_ROWS = {DataType.TRADES_EXACT: ExactTrade.__name__, DataType.OHLCV_EXACT: ExactBar.__name__}


class SbeWriter:
    """Writes the messages of records; remembers those that were none."""

    def __init__(self) -> None:
        self._records = 0
        self._undecoded = 0
        self._first = ""

    def __call__(self, topic: str, partition: int, records: Sequence[Record]) -> bytes:
        """See `qd_cli.record_formats.Write`; a record that is no message is an object too."""
        lines: list[str] = []
        for record in records:
            where = {"topic": topic, "partition": partition, "offset": record.offset}
            self._records += 1
            try:
                found = list(_objects(record.value))
            except DecodeError as error:
                found = [{"error": str(error)}]
                self._undecoded += 1
                self._first = self._first or f"record {record.offset} of {topic}: {error}"
            lines += [console.json_line({**where, **item}) for item in found]
        return "".join([f"{line}\n" for line in lines]).encode()

    def check(self) -> None:
        """Raise `NotDecoded` if any record was no message."""
        if self._undecoded:
            raise NotDecoded(
                f"{self._undecoded} of {self._records} records are no messages of the schema, "
                f"the first one is {self._first}; --output text or hex shows them"
            )


def _objects(value: bytes) -> Iterator[dict[str, Any]]:
    first, _ = decode_at(value, 0)
    if isinstance(first, FrameHeader):
        return _rows(value)
    return (_object(message) for message in iter_messages(value))


def _rows(value: bytes) -> Iterator[dict[str, Any]]:
    frame = read_frame(value)
    header = frame.header
    head = {
        "message": _ROWS[DataType(header.data_type_id)],
        "symbol_id": header.symbol_id,
        "stream_id": header.stream_id,
    }
    names = frame.rows.dtype.names or ()
    numbered = () if "sequence" in names else ("sequence",)
    for index, row in enumerate(frame.rows.tolist()):
        values = dict.fromkeys(numbered, header.first_sequence + index)
        values |= dict(zip(names, row, strict=True))
        yield {**head, **values, "time": _time(values["time"])}


def _object(message: Message) -> dict[str, Any]:
    layout = layout_of(type(message))
    fields = {field.name: _value(field, getattr(message, field.name)) for field in layout.fields}
    return {"message": layout.name, **fields}


def _value(field: Field, value: int | float | bytes) -> Any:
    """One field: names of closed sets, ISO times, bytes in hex, and null for what is absent."""
    if isinstance(value, bytes):
        return value.hex()
    if field.kind.null is not None and value == field.kind.null:
        return None
    if field.values is not None:
        try:
            return field.values(int(value)).name.lower()
        except ValueError:  # of a newer version
            return value
    return _time(value) if field.name.endswith("_time") else value


def _time(microseconds: int | float) -> Any:
    try:
        return console.iso_time(int(microseconds))
    except OverflowError:  # no time that a calendar has
        return microseconds
