"""A client of the symbol master from an endpoint, and markets by the names people give."""

from __future__ import annotations

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


async def known_market(symdb: SymdbClient, exchange: ExchangeId, symbol: str) -> MarketInfo:
    """Look a market up.

    Raises
    ------
    RequestRefused
        There is none of this name; the message has those of a similar one.
    """
    try:
        return await symdb.id_by_symbol(exchange, symbol)
    except SymbolNotFound:
        known = [market.symbol for market in await symdb.list_symbols(exchange)]
    alike = difflib.get_close_matches(symbol.upper(), known, _ALIKE_MAX)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    raise RequestRefused(f"no market is named {symbol!r}: {hint}`qd symbols` lists them")
