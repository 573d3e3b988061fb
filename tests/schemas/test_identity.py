"""Who has the token can log in and sign; nobody else can, and no code stands for another."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_schemas import identity
from qd_schemas.codec import decode_at, encode
from qd_schemas.errors import EncodeError
from qd_schemas.messages import Heartbeat, LoginChallenge, Signed

KEY = identity.key_of("token")
NONCE = identity.challenge(b"secret", 21, 7)
clients = st.integers(0, 65_535)
leases = st.integers(0, 2**32 - 1)
numbers = st.integers(-(2**63), 2**63 - 1)


def test_tokens_are_text_that_differs() -> None:
    tokens = {identity.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.isascii() and len(token) == 43 for token in tokens)


def test_codes_are_as_the_document_says() -> None:
    """What another program must compute, spelled out."""

    def code(key: bytes, *parts: bytes) -> bytes:
        return hmac.new(key, b"".join(parts), hashlib.sha256).digest()

    assert code(b"token", b"qd key") == KEY
    login = struct.pack("<HIq", 21, 6_000, 5)
    assert identity.login_proof(KEY, NONCE, 21, 6_000, 5) == code(KEY, b"qd login", NONCE, login)
    session = code(KEY, b"qd session", NONCE, struct.pack("<q", 5))
    assert identity.session_key(KEY, NONCE, 5) == session
    request = encode(Heartbeat(21))
    mac = code(session, b"qd request", struct.pack("<Hq", 21, 1), request)
    assert identity.mac_of(session, 21, 1, request) == mac
    assert identity.signed(session, 21, 1, request) == encode(Signed(21, 1, mac)) + request


@given(st.lists(st.tuples(clients, leases, numbers), min_size=2, max_size=2, unique=True))
def test_a_proof_is_for_one_login(logins: list[tuple[int, int, int]]) -> None:
    proofs = {identity.login_proof(KEY, NONCE, *login) for login in logins}
    assert len(proofs) == len(logins)


@given(clients, numbers, st.binary(max_size=60))
def test_a_signed_request_is_read_back(client: int, counter: int, request: bytes) -> None:
    record = identity.signed(KEY, client, counter, request)
    head, end = decode_at(record, 0)
    assert head == Signed(client, counter, identity.mac_of(KEY, client, counter, request))
    assert record[end:] == request


@pytest.mark.parametrize(
    "other",
    [
        identity.key_of("Token"),
        identity.challenge(b"secret", 22, 7),
        identity.challenge(b"secret", 21, 8),
        identity.challenge(b"secret 2", 21, 7),
        identity.session_key(KEY, NONCE, 0),
        identity.login_proof(KEY, NONCE, 0, 0, 0),
    ],
)
def test_no_code_is_another(other: bytes) -> None:
    assert len(other) == 32
    assert not identity.is_same(other, KEY)
    assert not identity.is_same(other, NONCE)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_codes_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(EncodeError, match=rf"nonce has {size} bytes.*nonce 32 bytes"):
        encode(LoginChallenge(21, bytes(size)))
