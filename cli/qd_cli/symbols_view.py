"""Lists markets for people and programs, and shows how they change."""

from __future__ import annotations

from qd_cli import console
from qd_cli.symdb import symdb_client
from qd_client import ChangeKind, MarketChange, MarketInfo
from qd_schemas.enums import ExchangeId
from qd_store.errors import UnknownExchange
from qd_store.exchanges import Pair, find_exchange

_COLUMNS = ("SYMBOL", "ID", "PAIR", "TRADES", "FIRST", "LAST")


async def list_symbols(
    endpoint: str, prefix: str, exchange: ExchangeId | None, *, json: bool
) -> None:
    """Print the markets that have a name that begins with a prefix, of one exchange or of all."""
    async with symdb_client(endpoint) as client:
        found = await client.search(prefix, exchange)
    if json:
        for market in found:
            console.print_json(_row(market))
    elif found:
        rows = [_shown(market) for market in found]
        console.print_table(_COLUMNS, rows, right=("ID", "TRADES"))
    else:
        console.say(f"no market{f' begins with {prefix}' if prefix else ''}: `qd import` adds some")


async def follow_symbols(
    endpoint: str, prefix: str, exchange: ExchangeId | None, *, json: bool
) -> None:
    """Print such markets as added, then each change of them, for ever."""
    async with symdb_client(endpoint) as client:
        async for change in client.changes(exchange, with_symbols=True):
            if not _begins(change.market, prefix):
                continue
            if json:
                console.print_json({"change": change.kind.name.lower(), **_row(change.market)})
            else:
                console.out(_said(change))


def _begins(market: MarketInfo, prefix: str) -> bool:
    names = (market.symbol, *market.names)
    return any(name.casefold().startswith(prefix.casefold()) for name in names)


def _said(change: MarketChange) -> str:
    market = change.market
    if change.kind is ChangeKind.REMOVED:
        return f"{market.symbol} was removed"
    return (
        f"{market.symbol} {change.kind.name.lower()}: {market.trades:,} trades, "
        f"the last at {console.iso_time(market.last_time)}"
    )


def _row(market: MarketInfo) -> dict[str, object]:
    pair = _pair(market)
    return {
        "symbol": market.symbol,
        "symbol_id": market.symbol_id,
        "exchange_id": market.exchange_id,
        "pair": pair and pair.shown,
        "pair_key": pair and pair.key,
        "names": list(market.names),
        "trades": market.trades,
        "first": console.iso_time(market.first_time),
        "last": console.iso_time(market.last_time),
    }


def _shown(market: MarketInfo) -> tuple[str, ...]:
    pair = _pair(market)
    return (
        market.symbol,
        str(market.symbol_id),
        pair.shown if pair else "-",
        f"{market.trades:,}",
        console.iso_time(market.first_time),
        console.iso_time(market.last_time),
    )


def _pair(market: MarketInfo) -> Pair | None:
    try:
        return find_exchange(market.exchange_id).pair_of(market.symbol)
    except UnknownExchange:
        return None
