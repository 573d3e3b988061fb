"""A machine with short ways to send it messages, and to read what it does."""

from __future__ import annotations

import itertools

from qd_gateway.core.actions import Action, Ignored, IgnoreReason, Reply, StartStream
from qd_gateway.core.admission import Policy
from qd_gateway.core.limits import Limits
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.slots import SLOTS
from qd_schemas.codec import decode, encode
from qd_schemas.enums import DataType, Reason, Resolution
from qd_schemas.identity import PERIOD_S, challenge, key_of, login_proof, session_key, signed
from qd_schemas.messages import LoginProof, Message, StartData

CLIENT, OTHER = 21, 22
EPOCH = 7
SECRET = b"secret of this process"
TOKEN = "a token"


class Gateway:
    """A machine that serves all slots, and the log that it reads."""

    def __init__(self, limits: Limits | None = None, policy: Policy | None = None) -> None:
        self.machine = GatewayMachine(limits, policy, SECRET)
        self.machine.own(range(SLOTS), [], EPOCH, 0.0)
        self.offsets = itertools.count()

    def send(self, message: Message, version: int = 2, now: float = 0.0) -> list[Action]:
        return self.put(encode(message, version), now)

    def put(self, payload: bytes, now: float = 0.0) -> list[Action]:
        return self.machine.on_record(payload, next(self.offsets), now)


class Holder:
    """A client that has a token, with the session that it proved."""

    def __init__(self, client_id: int = CLIENT, token: str = TOKEN) -> None:
        self.client_id = client_id
        self.key = key_of(token)
        self.session_key = b""
        self.counter = 0

    def proof(
        self, login_id: int = 1, lease_ms: int = 0, now: float = 0.0, secret: bytes = SECRET
    ) -> LoginProof:
        """The answer to the challenge of that time."""
        nonce = challenge(secret, self.client_id, int(now // PERIOD_S))
        self.session_key = session_key(self.key, nonce, login_id)
        proof = login_proof(self.key, nonce, self.client_id, lease_ms, login_id)
        return LoginProof(self.client_id, lease_ms, login_id, proof)

    def sign(self, message: Message, version: int = 2) -> bytes:
        """The record of a request."""
        self.counter += 1
        return signed(self.session_key, self.client_id, self.counter, encode(message, version))


def start(
    client: int = CLIENT, symbol: int = 1, kind: int = DataType.TRADES_EXACT, stream: int = 1
) -> StartData:
    return StartData(client, 1, symbol, Resolution.D1, kind, stream)


def tickets(actions: list[Action]) -> list[int]:
    return [action.plan.ticket for action in actions if isinstance(action, StartStream)]


def sent(actions: list[Action]) -> list[Message]:
    return [decode(action.payload) for action in actions if isinstance(action, Reply)]


def reasons(actions: list[Action]) -> list[Reason]:
    """Why the refusals among the actions refuse."""
    return [action.reason for action in actions if isinstance(action, Reply) and action.error]


def ignored(actions: list[Action]) -> list[IgnoreReason]:
    return [action.reason for action in actions if isinstance(action, Ignored)]
