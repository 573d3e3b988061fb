"""How one record's bytes become the value that a function gets, and back.

Arrays of many rows are `qd_fluvio.processors.rows`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np

from qd_fluvio.api import Record
from qd_fluvio.processors.values import Item
from qd_schemas import codec as sbe
from qd_schemas.messages import Message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """What one record is to a function.

    Attributes
    ----------
    name : str
        As users write it.
    type : type
        What `decode` gives; `object` where it may be anything.
    decode : callable
        An item's value; whatever it raises fails that record alone.
    encode : callable
        The bytes of a function's result, likewise.
    """

    name: str
    type: type[Any]
    decode: Callable[[Item], T]
    encode: Callable[[Any], bytes]


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{_shown(value)} where bytes were expected; encode it, or use another codec")


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{_shown(value)} where text was expected; use str() or another codec")
    return value.encode()


def _json(value: Any) -> bytes:
    return json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_number
    ).encode()


def _number(value: Any) -> Any:
    """What numpy's results are in JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{_shown(value)} cannot be written as JSON")


def _message(value: Any) -> bytes:
    if not isinstance(value, Message):
        raise TypeError(f"{_shown(value)} where an SBE message was expected")
    return sbe.encode(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


BYTES: Final[Codec[bytes]] = Codec("BYTES", bytes, lambda item: item.value, _bytes)
"""A record's value as it is."""
TEXT: Final[Codec[str]] = Codec("TEXT", str, lambda item: item.value.decode(), _text)
"""UTF-8."""
JSON: Final[Codec[Any]] = Codec("JSON", object, lambda item: json.loads(item.value), _json)
"""One JSON value a record; numpy's numbers may be in it, NaN may not."""
SBE: Final[Codec[Any]] = Codec("SBE", Message, lambda item: sbe.decode(item.value), _message)
"""One SBE message a record; for packed frames use `TRADES` or `BARS`."""
RECORD: Final[Codec[Record]] = Codec(
    "RECORD",
    Record,
    lambda item: Record(item.origin, item.timestamp_ms, item.key, item.value),
    _bytes,
)
"""The whole record with its offset, time and key; results are bytes."""
