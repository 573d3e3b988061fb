"""Messages that the official SBE tool's own codecs encoded: of version 1 and of version 2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from qd_schemas.messages import MESSAGES, Message
from qd_schemas.table import layout_of

_DATA = Path(__file__).resolve().parent.parent / "data"
_FILES = {1: "sbe_golden.json", 2: "sbe_golden_v2.json"}
_CLASSES = {message.__name__: message for message in MESSAGES}


@dataclass(frozen=True, slots=True)
class Golden:
    """One encoded message: the version of its header, its fields by name in Python, its bytes."""

    version: int
    message: Message
    encoded: bytes

    def __str__(self) -> str:
        return f"v{self.version} {self.message}"


def _read(version: int) -> list[Golden]:
    return [
        Golden(version, _message(entry["message"], entry["fields"]), bytes.fromhex(entry["hex"]))
        for entry in json.loads((_DATA / _FILES[version]).read_text())
    ]


def _message(name: str, fields: dict[str, float | str]) -> Message:
    by_wire_name = {field.wire_name: field.name for field in layout_of(_CLASSES[name]).fields}
    return _CLASSES[name](**{by_wire_name[key]: _value(value) for key, value in fields.items()})


def _value(value: float | str) -> float | bytes:
    """A field as in Python; 32 bytes are written in hex."""
    return bytes.fromhex(value) if isinstance(value, str) else value


GOLDEN_1 = _read(1)
GOLDEN_2 = _read(2)
GOLDEN = [*GOLDEN_1, *GOLDEN_2]
