"""Ending a client's session or stream: asks the gateways for it, and waits until it is so."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final

from qd_cli.clients_view import saved_of
from qd_cli.errors import CliError, RequestRefused
from qd_store.gateway_state import Session, end_session, end_stream, sessions

WAIT_SECONDS_MAX: Final = 5.0
"""A gateway looks about once a second at what operators ask for."""
_POLL_SECONDS: Final = 0.1


class NotEnded(CliError):
    """A gateway serves the client, but did not end what it was asked to end."""

    retriable = True


class Outcome(Enum):
    """What became of the wish."""

    ENDED = "ended"
    UNSERVED = "asked"
    """No gateway serves the client now; the one that takes it over ends it."""


async def end(dsn: str, client: int, stream: int | None, group: str | None) -> Outcome:
    """End a session, or one stream of it.

    Parameters
    ----------
    stream : int or None
        The gateway's number for the stream; None ends the session.
    group : str or None
        Of the gateways; None means the client's sessions in all groups.

    Raises
    ------
    RequestRefused
        There is nothing of this kind.
    NotEnded
        It still goes on after some seconds.
    """
    found = await _found(dsn, client, group)
    if not found:
        raise RequestRefused(f"client {client} is not logged in: `qd clients` lists who is")
    if stream is not None and not any(_streams(session) >= {stream} for session in found):
        known = ", ".join(str(one) for session in found for one in sorted(_streams(session)))
        raise RequestRefused(
            f"client {client} has no stream {stream}: it has {known or 'none'} (`qd clients`)"
        )
    if stream is None:
        await asyncio.to_thread(end_session, dsn, client, group)
    else:
        await asyncio.to_thread(end_stream, dsn, client, stream, group)
    if all(session.gateway is None for session in found):
        return Outcome.UNSERVED
    await _until_gone(dsn, client, stream, group, {_login(session) for session in found})
    return Outcome.ENDED


async def _until_gone(
    dsn: str, client: int, stream: int | None, group: str | None, logins: set[int]
) -> None:
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + WAIT_SECONDS_MAX
    while True:
        left = [one for one in await _found(dsn, client, group) if _login(one) in logins]
        if not [one for one in left if stream is None or stream in _streams(one)]:
            return
        if loop.time() >= give_up_at:
            what = f"client {client}" if stream is None else f"stream {stream} of client {client}"
            raise NotEnded(
                f"{what} was asked to end, but goes on after {WAIT_SECONDS_MAX:g} s: "
                "see `qd clients gateways` and the gateway's log"
            )
        await asyncio.sleep(_POLL_SECONDS)


async def _found(dsn: str, client: int, group: str | None) -> list[Session]:
    every = await asyncio.to_thread(sessions, dsn, group)
    return [session for session in every if session.client_id == client]


def _streams(session: Session) -> set[int]:
    return {stream.plan.ticket for stream in saved_of(session).streams}


def _login(session: Session) -> int:
    """What tells a session from one that the client opened anew."""
    return saved_of(session).login_id
