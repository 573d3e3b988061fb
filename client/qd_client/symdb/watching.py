"""Changes as the symbol master tells them: for the cache, and for users without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from qd_client.errors import QdClientError, UsageError
from qd_client.symdb.cache import Cache
from qd_client.symdb.connection import Connection
from qd_client.symdb.values import ChangeKind, MarketChange, MarketInfo, change_of
from qd_schemas.symdb_messages import WatchSymbolsRequest

HEARTBEAT_SECONDS: Final = 5.0
SILENCE_SECONDS_MAX: Final = 3 * HEARTBEAT_SECONDS
RETRY_SECONDS_MIN: Final = 0.1
RETRY_SECONDS_MAX: Final = 5.0

_log = logging.getLogger("qd_client")


async def keep_valid(connection: Connection, cache: Cache) -> None:
    """Tell a cache of changes, for ever; while there is no watch it keeps nothing."""
    delay = RETRY_SECONDS_MIN
    while True:
        try:
            async for message in _watch(connection, 0, with_symbols=False):
                delay = RETRY_SECONDS_MIN
                cache.begin()
                for change in message.changes:
                    cache.invalidate(change_of(change))
        except QdClientError:
            pass  # whoever asks for something is told
        finally:
            cache.end()
        await asyncio.sleep(delay)
        delay = min(2 * delay, RETRY_SECONDS_MAX)


async def changes_of(
    connection: Connection, exchange_id: int, *, with_symbols: bool
) -> AsyncGenerator[MarketChange, None]:
    """Give changes, for ever.

    After a loss, what changed meanwhile is found by comparing all markets. The first
    connection's failure is raised.
    """
    known: dict[tuple[int, int], MarketInfo] | None = None
    delay = RETRY_SECONDS_MIN
    while True:
        try:
            listed: dict[tuple[int, int], MarketInfo] | None = {}
            async for message in _watch(connection, exchange_id, with_symbols=True):
                delay = RETRY_SECONDS_MIN
                changes = [change_of(change) for change in message.changes]
                if listed is not None:
                    listed.update((_key(one.market), one.market) for one in changes)
                    if message.snapshot:
                        continue
                    before = known if known is not None else {} if with_symbols else listed
                    changes, known, listed = differences(before, listed), listed, None
                assert known is not None  # set with the first list
                for change in changes:
                    _apply(known, change)
                    yield change
        except QdClientError as error:
            if known is None or isinstance(error, UsageError):
                raise  # or the client was closed
            _log.warning("%s; trying again in %.1f s", error, delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, RETRY_SECONDS_MAX)


def differences(
    before: dict[tuple[int, int], MarketInfo], after: dict[tuple[int, int], MarketInfo]
) -> list[MarketChange]:
    """What makes one list of markets of another, removals first."""
    changes = [
        MarketChange(ChangeKind.REMOVED, market)
        for key, market in before.items()
        if key not in after
    ]
    for key, market in after.items():
        if key not in before:
            changes.append(MarketChange(ChangeKind.ADDED, market))
        elif market != before[key]:
            changes.append(MarketChange(ChangeKind.CHANGED, market))
    return changes


async def _watch(
    connection: Connection, exchange_id: int, *, with_symbols: bool
) -> AsyncIterator[Any]:
    request = WatchSymbolsRequest(
        exchange_id=exchange_id,
        with_symbols=with_symbols,
        heartbeat_ms=int(HEARTBEAT_SECONDS * 1000),
    )
    async for message in connection.watch(request, SILENCE_SECONDS_MAX):
        yield message


def _apply(known: dict[tuple[int, int], MarketInfo], change: MarketChange) -> None:
    if change.kind is ChangeKind.REMOVED:
        known.pop(_key(change.market), None)
    else:
        known[_key(change.market)] = change.market


def _key(market: MarketInfo) -> tuple[int, int]:
    return market.exchange_id, market.symbol_id
