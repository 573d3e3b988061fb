"""What of a session outlives its gateway: plain values, and their form as JSON. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from qd_gateway.errors import SavedStateDamaged
from qd_gateway.plans import StreamPlan
from qd_schemas.enums import DataType, Resolution, UnfinishedBar


@dataclass(frozen=True, slots=True)
class SavedStream:
    """A stream as it was asked for, and whether it had begun or waited."""

    plan: StreamPlan
    running: bool

    def to_json(self) -> dict[str, Any]:
        """The stream as JSON's values."""
        return {**asdict(self.plan), "running": self.running}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> SavedStream:
        """The stream of JSON's values.

        Raises
        ------
        SavedStateDamaged
            A value is missing or of a wrong type.
        """
        try:
            values = {field.name: saved[field.name] for field in fields(StreamPlan)}
            values["data_type"] = DataType(values["data_type"])
            values["resolution"] = Resolution(values["resolution"])
            values["unfinished"] = UnfinishedBar(values["unfinished"])
            return cls(StreamPlan(**values), bool(saved["running"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SavedStateDamaged(f"a saved stream is damaged: {error!r}") from None


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
    """

    client_id: int
    version: int
    lease_ms: int
    login_id: int
    key: bytes | None
    counter: int
    offset: int
    streams: tuple[SavedStream, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The session as JSON's values (of the key: hexadecimal text)."""
        return {
            "client_id": self.client_id,
            "version": self.version,
            "lease_ms": self.lease_ms,
            "login_id": self.login_id,
            "key": None if self.key is None else self.key.hex(),
            "counter": self.counter,
            "offset": self.offset,
            "streams": [stream.to_json() for stream in self.streams],
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> SavedSession:
        """The session of JSON's values.

        Raises
        ------
        SavedStateDamaged
            A value is missing or of a wrong type.
        """
        try:
            key = saved["key"]
            return cls(
                client_id=int(saved["client_id"]),
                version=int(saved["version"]),
                lease_ms=int(saved["lease_ms"]),
                login_id=int(saved["login_id"]),
                key=None if key is None else bytes.fromhex(key),
                counter=int(saved["counter"]),
                offset=int(saved["offset"]),
                streams=tuple(map(SavedStream.from_json, saved["streams"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SavedStateDamaged(f"a saved session is damaged: {error!r}") from None
