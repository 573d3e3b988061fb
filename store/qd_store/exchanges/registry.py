"""Exchanges in the database: an import enters its own before the first market.

Ids are fixed by the adapters; here they are only kept from contradicting what is stored.
"""

from __future__ import annotations

from typing import Any

import psycopg

from qd_store.errors import UnknownExchange
from qd_store.exchanges.adapter import ExchangeAdapter


def register(connection: psycopg.Connection[Any], exchange: ExchangeAdapter) -> None:
    """Have an exchange in the table of exchanges; changes nothing where it is there.

    Raises
    ------
    UnknownExchange
        The database has another exchange of this id or name.
    """
    entry = (exchange.exchange_id, exchange.name)
    query = "SELECT exchange_id, name FROM exchange WHERE exchange_id = %s OR name = %s"
    found = connection.execute(query, entry).fetchall()
    if not found:
        connection.execute("INSERT INTO exchange VALUES (%s, %s) ON CONFLICT DO NOTHING", entry)
        found = connection.execute(query, entry).fetchall()
    if found != [entry]:
        stored = ", ".join(f"{name} with id {number}" for number, name in found)
        raise UnknownExchange(
            f"exchange {exchange.name} has id {exchange.exchange_id}, but this database has "
            f"{stored}: it was made by another program; use another database"
        )
