"""Market names for people: symbol ids looked up at symdb, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qd_schemas.errors import QdError

if TYPE_CHECKING:
    from qd_client import SymdbClient


class Names:
    """Names of markets by their ids.

    Parameters
    ----------
    symdb : SymdbClient
        Who knows them.
    """

    def __init__(self, symdb: SymdbClient) -> None:
        self._symdb = symdb
        self._known: dict[tuple[int, int], str] = {}

    async def of(self, exchange_id: int, symbol_id: int) -> str:
        """Return a market's symbol; its ids where symdb cannot tell."""
        key = (exchange_id, symbol_id)
        if key not in self._known:
            try:
                found = await self._symdb.symbol_by_id(exchange_id, symbol_id)
            except QdError:
                return f"{exchange_id}/{symbol_id}"
            self._known[key] = found.symbol
        return self._known[key]
