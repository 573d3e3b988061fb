"""What a hostile program writes on the control topic, drawn from a seed: each record is a trial.

Random bytes, cut and changed requests, requests of ids that nobody has, requests in the names
of others, and records that others have sent before.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from qd_schemas.codec import encode
from qd_schemas.messages import (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    Message,
    Signed,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.table import LAYOUTS, Field, layout_of
from qd_schemas.topics import CLIENT_ID_MAX
from qd_schemas.wire import VERSION, VERSION_REFERENCE

REQUESTS: Final[tuple[type[Message], ...]] = (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    StreamAck,
    StartData,
    StopData,
    StopAllData,
)
SHORT_BYTES_MAX = 120
LONG_BYTES_MAX = 3_000
"""Longer than a control message may be."""
LONG_SHARE = 0.01


class Attacker:
    """Draws hostile records.

    Parameters
    ----------
    seed : int
        The same seed draws the same records.
    victims : sequence of int
        Clients in whose names it writes.
    recorded : sequence of bytes
        Records that victims have sent; it may grow meanwhile.
    """

    def __init__(self, seed: int, victims: Sequence[int], recorded: Sequence[bytes]) -> None:
        self._chance = random.Random(seed)
        self._victims = victims
        self._recorded = recorded
        self._kinds: list[Callable[[], bytes]] = [
            self._garbage,
            self._cut,
            self._changed,
            self._unknown,
            self._login,
            self._forged,
            self._falsely_signed,
            self._replayed,
        ]

    def records(self, count: int) -> list[bytes]:
        """So many records, of all kinds alike."""
        return [self._chance.choice(self._kinds)() for _ in range(count)]

    def _garbage(self) -> bytes:
        long = self._chance.random() < LONG_SHARE
        return self._chance.randbytes(
            self._chance.randint(0, LONG_BYTES_MAX if long else SHORT_BYTES_MAX)
        )

    def _cut(self) -> bytes:
        whole = self._any_record()
        return whole[: self._chance.randrange(len(whole))]

    def _changed(self) -> bytes:
        record = bytearray(self._any_record())
        for _ in range(self._chance.randint(1, 4)):
            record[self._chance.randrange(len(record))] = self._chance.randrange(256)
        return bytes(record)

    def _unknown(self) -> bytes:
        """A request, with any values, of an id that nobody has."""
        return self._request(self._chance.choice(REQUESTS), self._stranger())

    def _login(self) -> bytes:
        return self._request(ClientLogin, self._stranger())

    def _forged(self) -> bytes:
        """A request in another client's name."""
        return self._request(self._chance.choice(REQUESTS), self._chance.choice(self._victims))

    def _falsely_signed(self) -> bytes:
        """The same, with a signature that is none."""
        victim = self._chance.choice(self._victims)
        counter = self._chance.choice([0, 1, 2**40, 2**63 - 1])
        return encode(Signed(victim, counter, self._chance.randbytes(32))) + self._forged()

    def _replayed(self) -> bytes:
        return self._chance.choice(self._recorded) if self._recorded else self._forged()

    def _any_record(self) -> bytes:
        if self._recorded and self._chance.random() < 0.5:
            return self._chance.choice(self._recorded)
        layout = self._chance.choice(list(LAYOUTS.values()))
        return self._request(layout.message, self._stranger())

    def _stranger(self) -> int:
        return self._chance.randint(CLIENT_ID_MAX // 2, CLIENT_ID_MAX)

    def _request(self, kind: type[Message], client_id: int) -> bytes:
        layout = layout_of(kind)
        values = {field.name: self._value(field) for field in layout.fields}
        if "client_id" in values:
            values["client_id"] = client_id
        version = VERSION if layout.since > 1 else self._chance.choice([VERSION_REFERENCE, VERSION])
        return encode(layout.message(**values), version)

    def _value(self, field: Field) -> Any:
        """A value that somebody could mean, or any at all."""
        kind = field.kind
        if field.values is not None and self._chance.random() < 0.8:
            return self._chance.choice(list(field.values)).value
        if field.default is not None and self._chance.random() < 0.5:
            return field.default
        if kind.null is not None and self._chance.random() < 0.5:
            return self._chance.randint(0, 10)
        return struct.unpack("<" + kind.struct_code, self._chance.randbytes(kind.size))[0]
