"""The lock that whoever writes a market holds."""

from __future__ import annotations

from typing import Any, Final

import psycopg

_MARKET_LOCK_CLASS: Final = 0x7164_0002  # "qd", a market that somebody writes


def lock_market(connection: psycopg.Connection[Any], market: int) -> None:
    """Keep other writers of a market out until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_MARKET_LOCK_CLASS, market])
