"""The gateways' clients for people and scripts: sessions with their streams, tokens, gateways.

It reads what gateways keep in the database, and shows no key and no token.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qd_cli import console
from qd_gateway.core.plans import StreamPlan
from qd_gateway.core.saved import SavedSession, SavedStream
from qd_schemas.enums import ExchangeId
from qd_schemas.wire import NO_STREAM
from qd_store import Store
from qd_store.gateway_state import SLOTS, Gateway, Session, Token, sessions, tokens

Market = tuple[int, int]


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream, ready to be shown.

    Attributes
    ----------
    stream : int
        The gateway's own number for it, which `qd clients end --stream` takes.
    stream_id : int or None
        The client's number for it; None in version 1.
    market : str
        Its symbol, or the symbol's id where the database does not know it.
    rows : str
        ``trades``, or the bars' resolution.
    state : str
        ``running`` or ``waiting``.
    sent : int
        Rows that were sent, as its gateway saved it some seconds ago.
    """

    stream: int
    stream_id: int | None
    exchange: str
    market: str
    rows: str
    first_sequence: int
    start: str | None
    end: str | None
    pace: float
    state: str
    sent: int


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client that is logged in, ready to be shown.

    Attributes
    ----------
    gateway : str or None
        Who serves it; None while nobody does.
    is_proven : bool
        Whether it proved who it is, and signs its requests.
    since : str or None
        When it logged in, ISO 8601 in UTC; None where an older gateway did not say.
    changed : str
        When its session or its streams last changed, ISO 8601 in UTC.
    """

    client: int
    name: str | None
    version: int
    is_proven: bool
    lease_ms: int
    group: str
    gateway: str | None
    since: str | None
    changed: str
    streams: tuple[StreamRow, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        streams = [{name: getattr(row, name) for name in row.__slots__} for row in self.streams]
        return {**{name: getattr(self, name) for name in self.__slots__}, "streams": streams}


def saved_of(session: Session) -> SavedSession:
    """What a session's gateway keeps of it.

    Raises
    ------
    SavedStateDamaged
        It is no such text, or of another version of the gateway.
    """
    return SavedSession.from_json(session.state)


async def client_rows(dsn: str, group: str | None) -> list[ClientRow]:
    """All clients that are logged in."""
    import asyncio

    found = await asyncio.to_thread(sessions, dsn, group)
    known = {token.client_id: token.name for token in await asyncio.to_thread(tokens, dsn)}
    saved = [saved_of(session) for session in found]
    wanted = {_market_of(stream.plan) for one in saved for stream in one.streams}
    markets = await _symbols(dsn, wanted)
    return [
        _client_row(session, one, known.get(session.client_id), markets)
        for session, one in zip(found, saved, strict=True)
    ]


async def _symbols(dsn: str, wanted: set[Market]) -> dict[Market, str]:
    if not wanted:
        return {}
    async with Store.open(dsn) as store:
        found = {each: await store.market(*each) for each in wanted}
    return {each: market.symbol for each, market in found.items() if market is not None}


def _market_of(plan: StreamPlan) -> Market:
    return plan.exchange_id, plan.symbol_id


def _client_row(
    session: Session, saved: SavedSession, name: str | None, markets: Mapping[Market, str]
) -> ClientRow:
    return ClientRow(
        client=session.client_id,
        name=name or None,
        version=saved.version,
        is_proven=saved.key is not None,
        lease_ms=saved.lease_ms,
        group=session.group,
        gateway=session.gateway,
        since=_since_text(saved.since_s),
        changed=time_text(session.saved_at),
        streams=tuple(_stream_row(stream, markets) for stream in saved.streams),
    )


def _stream_row(stream: SavedStream, markets: Mapping[Market, str]) -> StreamRow:
    plan = stream.plan
    return StreamRow(
        stream=plan.ticket,
        stream_id=None if plan.stream_id == NO_STREAM else plan.stream_id,
        exchange=_exchange(plan.exchange_id),
        market=markets.get(_market_of(plan), str(plan.symbol_id)),
        rows=plan.resolution.label if plan.is_bars else "trades",
        first_sequence=plan.first_sequence,
        start=None if plan.start_time is None else console.iso_time(plan.start_time),
        end=None if plan.end_time is None else console.iso_time(plan.end_time),
        pace=plan.pace,
        state="running" if stream.running else "waiting",
        sent=stream.sent,
    )


def _exchange(exchange_id: int) -> str:
    try:
        return ExchangeId(exchange_id).name.lower()
    except ValueError:
        return str(exchange_id)


def _since_text(seconds: int) -> str | None:
    return console.iso_time(seconds * 1_000_000) if seconds else None


def time_text(moment: datetime.datetime) -> str:
    """A time of the database, ISO 8601 in UTC, to the second."""
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def print_clients(found: Sequence[ClientRow]) -> None:
    """Print clients, with a line for each stream."""
    if not found:
        console.say("no client is logged in")
        return
    columns = ("CLIENT", "NAME", "VERSION", "GATEWAY", "SINCE", "STREAM", "MARKET", "ROWS")
    rows: list[tuple[str, ...]] = []
    for client in found:
        version = f"{client.version}, proven" if client.is_proven else str(client.version)
        whose = (str(client.client), client.name or "-", version, client.gateway or "none")
        streams = [
            (str(row.stream), row.market, row.rows, f"{row.sent:,}", row.state)
            for row in client.streams
        ] or [("-",) * 5]
        for number, stream in enumerate(streams):
            first = (*whose, client.since or "-") if number == 0 else ("",) * 5
            rows.append((*first, *stream))
    console.print_table((*columns, "SENT", "STATE"), rows, right=("CLIENT", "STREAM", "SENT"))


def gateway_json(gateway: Gateway) -> dict[str, Any]:
    """A gateway as a JSON object."""
    return {
        "gateway": gateway.name,
        "group": gateway.group,
        "alive": gateway.is_alive,
        "since": time_text(gateway.joined_at),
        "slots": gateway.slots,
    }


def print_gateways(found: Sequence[Gateway]) -> None:
    """Print gateways, and say what of the clients nobody serves."""
    if not found:
        console.say("no gateway has used this database")
        return
    rows = [
        (
            gateway.name,
            gateway.group,
            "serves" if gateway.is_alive else "gone",
            f"{len(gateway.slots)} of {SLOTS}",
            time_text(gateway.joined_at),
        )
        for gateway in found
    ]
    console.print_table(("GATEWAY", "GROUP", "STATE", "SLOTS", "SINCE"), rows)


def token_json(token: Token) -> dict[str, Any]:
    """That a client has a token, as a JSON object."""
    return {"client": token.client_id, "name": token.name, "added": time_text(token.added_at)}


def print_tokens(found: Sequence[Token]) -> None:
    """Print which clients have tokens."""
    if not found:
        console.say("no client has a token: `qd clients add ID` gives it one")
        return
    rows = [(str(one.client_id), one.name or "-", time_text(one.added_at)) for one in found]
    console.print_table(("CLIENT", "NAME", "ADDED"), rows, right=("CLIENT",))
