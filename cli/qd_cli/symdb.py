"""A client of the symbol master from an endpoint, and markets by the names people give."""

from __future__ import annotations

import contextlib
import difflib

from qd_cli.errors import RequestRefused
from qd_client import MarketInfo, SymdbClient
from qd_client.errors import SymbolNotFound
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import SymdbSettings

_ALIKE_MAX = 3


def symdb_client(endpoint: str) -> SymdbClient:
    """Make a client of the symbol master at ``host:port``."""
    where = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    return SymdbClient(where.host, where.port)


async def known_market(symdb: SymdbClient, exchange: ExchangeId, name: str) -> MarketInfo:
    """Look a market up by its symbol, or by another of its names, such as ``XBT/USD``.

    Raises
    ------
    RequestRefused
        There is none of this name; the message has those of a similar one.
    """
    from qd_store.exchanges import find_exchange

    symbol = find_exchange(exchange).symbol_of(name)
    for tried in dict.fromkeys((name, symbol)):
        with contextlib.suppress(SymbolNotFound):
            return await symdb.id_by_symbol(exchange, tried)
    known = [market.symbol for market in await symdb.list_symbols(exchange)]
    alike = difflib.get_close_matches(symbol.upper(), known, _ALIKE_MAX)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    raise RequestRefused(f"no market is named {name!r}: {hint}`qd symbols` lists them")
