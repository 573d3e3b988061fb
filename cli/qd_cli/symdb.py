"""A client of the symbol master from an endpoint, and markets by the names people give."""

from __future__ import annotations

import contextlib
import difflib
import os

from qd_cli.errors import RequestRefused
from qd_client import MarketInfo, SymdbClient
from qd_client.errors import SymbolNotFound
from qd_schemas.enums import ExchangeId
from qd_schemas.specs import SYMDB_TLS_NAMES, SymdbSettings, TlsSettings

_ALIKE_MAX = 3


def symdb_client(endpoint: str) -> SymdbClient:
    """Make a client of the symbol master at ``host:port``; TLS is as the environment says."""
    where = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    return SymdbClient(where.host, where.port, tls=symdb_tls())


def symdb_tls() -> TlsSettings | None:
    """How to speak TLS to the symbol master, as the environment says."""
    return TlsSettings.from_env(os.environ, SYMDB_TLS_NAMES)


async def known_market(symdb: SymdbClient, exchange: ExchangeId, name: str) -> MarketInfo:
    """Look a market up by its symbol, or by another of its names, such as ``XBT/USD``.

    Raises
    ------
    RequestRefused
        There is none of this name; the message has those of a similar one.
    """
    with contextlib.suppress(SymbolNotFound):
        return await symdb.id_by_symbol(exchange, name)
    known: dict[str, str] = {}
    for market in await symdb.list_symbols(exchange):
        known.update(dict.fromkeys((market.symbol, *market.names), market.symbol))
    alike = difflib.get_close_matches(name.upper(), known, _ALIKE_MAX)
    symbols = list(dict.fromkeys(known[one] for one in alike))
    hint = f"did you mean {' or '.join(symbols)}? " if symbols else ""
    raise RequestRefused(f"no market is named {name!r}: {hint}`qd symbols` lists them")
