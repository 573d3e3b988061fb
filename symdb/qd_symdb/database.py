"""The market database as the symbol master uses it: opened when first needed.

A database that is down fails the requests of that moment and nothing else.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from qd_schemas.errors import QdError
from qd_store import Store

CHECK_SECONDS_MAX = 2.0
"""How long a health check waits for the database."""


class Database:
    """Opens the store once; the store itself connects again after a loss."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stack = AsyncExitStack()
        self._store: Store | None = None
        self._opening = asyncio.Lock()

    async def store(self) -> Store:
        """The open store.

        Raises
        ------
        StoreError
            The database cannot be reached.
        """
        async with self._opening:
            if self._store is None:
                self._store = await self._stack.enter_async_context(Store.open(self._dsn))
            return self._store

    async def answers(self) -> bool:
        """Whether the database answers now, with its tables."""
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                await (await self.store()).exchanges()
        except (QdError, TimeoutError):
            return False
        return True

    async def aclose(self) -> None:
        """Close the store."""
        self._store = None
        await self._stack.aclose()
