"""The locks of whoever writes: advisory ones, which need no right to change a row."""

from __future__ import annotations

from typing import Any, Final

import psycopg

_MARKET_LOCK_CLASS: Final = 0x7164_0002  # "qd", a market that somebody writes
_EXCHANGE_LOCK_CLASS: Final = 0x7164_0004  # "qd", an exchange that gives out a symbol id


def lock_market(connection: psycopg.Connection[Any], market: int) -> None:
    """Keep other writers of a market out until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_MARKET_LOCK_CLASS, market])


def lock_exchange(connection: psycopg.Connection[Any], exchange_id: int) -> None:
    """Keep others from giving out a symbol id until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_EXCHANGE_LOCK_CLASS, exchange_id])
