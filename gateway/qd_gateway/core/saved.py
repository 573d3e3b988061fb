"""What of a session outlives its gateway: plain values, and their form as JSON. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from qd_gateway.core.plans import StreamPlan
from qd_gateway.errors import SavedStateDamaged
from qd_schemas.enums import DataType, Resolution, UnfinishedBar


@dataclass(frozen=True, slots=True)
class SavedStream:
    """A stream as it was asked for, whether it had begun or waited, and the rows sent so far."""

    plan: StreamPlan
    running: bool
    sent: int = 0


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session as it was after the record at `offset` of the control topic.

    Attributes
    ----------
    version : int
        The protocol version that its login spoke.
    lease_ms : int
        Milliseconds of silence that end it; 0 for version 1, where none does.
    login_id : int
        Of the login that opened it; 0 is none.
    key : bytes or None
        What its requests are signed with, if it began with a proof.
    counter : int
        Of its last signed request; -1 before the first.
    offset : int
        Records of its client at or below are not handled again.
    since_s : int
        When it began, in seconds since the epoch; 0 where an older gateway did not say.
    """

    client_id: int
    version: int
    lease_ms: int
    login_id: int
    key: bytes | None
    counter: int
    offset: int
    streams: tuple[SavedStream, ...] = ()
    since_s: int = 0

    def to_json(self) -> str:
        """The session as JSON; its key as hexadecimal text."""
        streams = [
            {**asdict(one.plan), "running": one.running, "sent": one.sent} for one in self.streams
        ]
        key = None if self.key is None else self.key.hex()
        plain = {name: getattr(self, name) for name in _INTEGERS}
        return json.dumps({**plain, "key": key, "streams": streams, "since_s": self.since_s})

    @classmethod
    def from_json(cls, text: str) -> SavedSession:
        """The session of JSON's text.

        Raises
        ------
        SavedStateDamaged
            It is no such text, or a value is missing or of a wrong type.
        """
        try:
            saved = json.loads(text)
            integers = {name: int(saved[name]) for name in _INTEGERS}
            key = None if saved["key"] is None else bytes.fromhex(saved["key"])
            streams = tuple(_stream_of(stream) for stream in saved["streams"])
            since_s = int(saved.get("since_s", 0))
            return cls(**integers, key=key, streams=streams, since_s=since_s)
        except (KeyError, TypeError, ValueError) as error:
            raise SavedStateDamaged(f"a saved session is damaged: {error!r}") from None


_INTEGERS: Final = ("client_id", "version", "lease_ms", "login_id", "counter", "offset")


def _stream_of(saved: Mapping[str, Any]) -> SavedStream:
    """A stream of JSON's values; what an older gateway did not know has its default."""
    values = {field.name: saved[field.name] for field in fields(StreamPlan) if field.name in saved}
    values["data_type"] = DataType(values["data_type"])
    values["resolution"] = Resolution(values["resolution"])
    values["unfinished"] = UnfinishedBar(values.get("unfinished", UnfinishedBar.INCLUDED))
    return SavedStream(StreamPlan(**values), bool(saved["running"]), int(saved.get("sent", 0)))
