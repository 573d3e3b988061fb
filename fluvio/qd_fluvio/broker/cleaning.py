"""Applying retention again and again while a broker runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qd_fluvio.broker.catalog import Catalog
from qd_fluvio.broker.settings import CLEANING_INTERVAL_S


async def keep_clean(
    catalog: Catalog, wait: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Clean the catalog after every interval, until cancelled."""
    while True:
        await wait(CLEANING_INTERVAL_S)
        await catalog.clean()
