"""What an operator sees and asks of gateways: who is logged in where, ends, tokens.

Synchronous, as the rest of what operators do with the database. Ends are only asked for here;
the gateway that serves the client carries them out, within about a second.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg.rows import class_row

from qd_store.connections import connect, translating

T = TypeVar("T")

_SESSIONS = """
SELECT gateway_group AS group, client_id, slot, state::text AS state, gateway_session.saved_at,
    CASE WHEN lease_until > now() THEN holder END AS gateway
FROM gateway_session JOIN gateway_slot USING (gateway_group, slot)
WHERE %(group)s::text IS NULL OR gateway_group = %(group)s
ORDER BY gateway_group, client_id
"""
_GATEWAYS = """
SELECT gateway_group AS group, name, joined_at, lease_until > now() AS is_alive,
    ARRAY(SELECT slot FROM gateway_slot s WHERE s.gateway_group = m.gateway_group
          AND s.incarnation = m.incarnation AND s.lease_until > now() ORDER BY slot) AS slots
FROM gateway_member m
WHERE %(group)s::text IS NULL OR gateway_group = %(group)s
ORDER BY gateway_group, name
"""
_END = """
INSERT INTO gateway_order (gateway_group, client_id, ticket)
SELECT gateway_group, client_id, %(ticket)s::bigint FROM gateway_session
WHERE client_id = %(client_id)s AND (%(group)s::text IS NULL OR gateway_group = %(group)s)
"""
_TOKENS = "SELECT client_id, name, added_at FROM gateway_token ORDER BY client_id"
_ADD_TOKEN = """
INSERT INTO gateway_token (client_id, key, name) VALUES (%s, %s, %s)
ON CONFLICT (client_id) DO UPDATE SET key = excluded.key, name = excluded.name, added_at = now()
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One client that is logged in.

    Attributes
    ----------
    group : str
        The gateways that serve its cluster.
    slot : int
        Of the parts into which clients are divided.
    state : str
        What its gateway keeps of it, to be read by `SavedSession.from_json` of
        `qd_gateway.core.saved`; it holds the session's key, so it is not shown.
    saved_at : datetime
        When it last changed.
    gateway : str or None
        The name of the gateway that serves it; None where none does at present.
    """

    group: str
    client_id: int
    slot: int
    state: str = field(repr=False)
    saved_at: datetime.datetime
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway that runs, or ended without saying so; `slots` are those that it serves."""

    group: str
    name: str
    joined_at: datetime.datetime
    is_alive: bool
    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", tuple(self.slots))  # the database gives a list


@dataclass(frozen=True, slots=True)
class Token:
    """That a client must prove who it is, and since when."""

    client_id: int
    name: str
    added_at: datetime.datetime


def sessions(dsn: str, group: str | None = None) -> list[Session]:
    """All sessions, of one group of gateways or of all, by group and client.

    Each function of this module raises `StoreError` where the database cannot be asked.
    """
    return _rows(dsn, Session, _SESSIONS, {"group": group})


def gateways(dsn: str, group: str | None = None) -> list[Gateway]:
    """All gateways, of one group or of all, by group and name."""
    return _rows(dsn, Gateway, _GATEWAYS, {"group": group})


def end_session(dsn: str, client_id: int, group: str | None = None) -> bool:
    """Ask for the end of a client's session; false where it has none."""
    return _end(dsn, client_id, None, group)


def end_stream(dsn: str, client_id: int, ticket: int, group: str | None = None) -> bool:
    """Ask for the end of a client's stream, by its gateway's number for it.

    Returns
    -------
    bool
        Whether the client has a session; nothing happens where it has no such stream.
    """
    return _end(dsn, client_id, ticket, group)


def add_token(dsn: str, client_id: int, key: bytes, name: str) -> None:
    """Have a client prove who it is from now on; another token of it holds no more.

    Parameters
    ----------
    client_id : int
        21 to 65,534.
    key : bytes
        `qd_schemas.identity.key_of` the token, 32 bytes.
    name : str
        For people: whose client it is.
    """
    _change(dsn, _ADD_TOKEN, [client_id, key, name])


def remove_token(dsn: str, client_id: int) -> bool:
    """Have a client prove nothing any more; false where it had no token."""
    return bool(_change(dsn, "DELETE FROM gateway_token WHERE client_id = %s", [client_id]))


def tokens(dsn: str) -> list[Token]:
    """All clients that must prove who they are."""
    return _rows(dsn, Token, _TOKENS, {})


def _end(dsn: str, client_id: int, ticket: int | None, group: str | None) -> bool:
    given = {"client_id": client_id, "ticket": ticket, "group": group}
    return bool(_change(dsn, _END, given))


def _rows(dsn: str, kind: type[T], query: str, given: dict[str, Any]) -> list[T]:
    with translating(), connect(dsn) as connection:
        cursor = connection.cursor(row_factory=class_row(kind))
        return cursor.execute(query.encode(), given).fetchall()


def _change(dsn: str, statement: str, given: Sequence[Any] | dict[str, Any]) -> int:
    with translating(), connect(dsn) as connection:
        return connection.execute(statement.encode(), given).rowcount
