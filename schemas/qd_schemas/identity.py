"""How a client proves who it is, to a gateway that shares a token with it. Pure.

Any program of a Fluvio cluster can write on the control topic and read every answer, so a token
is never sent. All codes are HMAC-SHA-256:

::

    key          of the token; what the gateway keeps
    nonce        of a period, by a secret of the gateway's: it keeps no list of what it asked
    proof        of the nonce and the login, by the key: it answers a challenge
    session key  of the nonce and the login, by the key: known to both, sent by neither
    mac          of a counter and a request, by the session key

Each input begins with a word of its own, so that no code can stand for another.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from typing import Final

from qd_schemas.codec import encode
from qd_schemas.messages import Signed

TOKEN_BYTES: Final = 32
"""Random bytes in a token that `new_token` makes."""
PERIOD_S: Final = 10.0
"""Seconds for which a nonce is asked for; it is right for one such period more."""

_LOGIN: Final = struct.Struct("<HIq")
_REQUEST: Final = struct.Struct("<Hq")


def new_token() -> str:
    """A token that nobody can guess, as text for a setting or a file."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def key_of(token: str) -> bytes:
    """The key of a token, 32 bytes: whoever has it can log in, but cannot tell the token."""
    return _code(token.encode(), b"qd key")


def challenge(secret: bytes, client_id: int, period: int) -> bytes:
    """The nonce that a client is asked with in a period, 32 bytes.

    Parameters
    ----------
    secret : bytes
        Known to the gateway alone, and made anew at each start.
    client_id : int
        Who is asked.
    period : int
        Which one, counted in steps of `PERIOD_S`.
    """
    return _code(secret, b"qd nonce", struct.pack("<Hq", client_id, period))


def login_proof(key: bytes, nonce: bytes, client_id: int, lease_ms: int, login_id: int) -> bytes:
    """The answer to a challenge, 32 bytes, for exactly this login."""
    return _code(key, b"qd login", nonce, _LOGIN.pack(client_id, lease_ms, login_id))


def session_key(key: bytes, nonce: bytes, login_id: int) -> bytes:
    """The key of the session that a login opens, 32 bytes."""
    return _code(key, b"qd session", nonce, struct.pack("<q", login_id))


def mac_of(session_key: bytes, client_id: int, counter: int, request: bytes) -> bytes:
    """The code of a request, 32 bytes."""
    return _code(session_key, b"qd request", _REQUEST.pack(client_id, counter), request)


def signed(session_key: bytes, client_id: int, counter: int, request: bytes) -> bytes:
    """The whole record of a signed request: `Signed`, then the request as it was."""
    mac = mac_of(session_key, client_id, counter, request)
    return encode(Signed(client_id, counter, mac)) + request


def is_same(found: bytes, expected: bytes) -> bool:
    """Compare two codes, in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(found, expected)


def _code(key: bytes, *parts: bytes) -> bytes:
    # Only the last part of each kind has no fixed length, so their join is not ambiguous.
    return hmac.digest(key, b"".join(parts), hashlib.sha256)
