"""One market's tables, for whoever adds trades to it.

A market's id is reserved first, in a transaction of its own, so that importers do not wait
for each other. All else is the caller's one transaction: `lock`, `write`, `remember`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from qd_schemas.arrays import Rows
from qd_store.tables.writer import Written


@dataclass(frozen=True, slots=True)
class Stored:
    """What a market holds.

    Attributes
    ----------
    trades : int
        How many trades; also the last sequence.
    last_time : int or None
        The last one's, microseconds since the epoch.
    bars_sequence : int
        Up to which trade stored bars are complete.
    """

    trades: int
    last_time: int | None
    bars_sequence: int


def exchange_id_of(connection: psycopg.Connection[Any], exchange: int | str) -> int:
    """The id of an exchange given by name or id.

    Raises
    ------
    UnknownExchange
        It is not in the table.
    """
    raise NotImplementedError


class MarketTables:
    """The tables of one market, for one importer.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode; the methods belong in a transaction of it. It is asked for
        another connection like itself where chunks are to be made first.
    exchange_id : int
        The exchange.
    symbol : str
        The market's name there; a new one gets the next id of its exchange, for ever.

    Raises
    ------
    SymbolIdsExhausted
        A new symbol, and the exchange has used all ids.
    """

    key: int
    symbol_id: int

    def __init__(self, connection: psycopg.Connection[Any], exchange_id: int, symbol: str) -> None:
        raise NotImplementedError

    def lock(self) -> Stored:
        """Keep other importers of this market out until the transaction ends."""
        raise NotImplementedError

    def imported(self) -> dict[bytes, tuple[int, int]]:
        """The digests of the files imported, with their counts of rows and rejected lines."""
        raise NotImplementedError

    def write(self, blocks: Iterable[Rows], stored: Stored) -> Written | None:
        """Add trades to the market, numbering them on from `stored`.

        Everything that follows from them is written too: marks, bars, the market's counts.
        An exception of `blocks` leaves the transaction to be rolled back (a savepoint does).

        Parameters
        ----------
        blocks : iterable of ndarray
            With fields ``time`` (int64, microseconds), ``price`` and ``volume`` (float64),
            of RAW or TRADE or any other; in time order, none before the last stored one.
        stored : Stored
            What `lock` gave.

        Returns
        -------
        Written or None
            None where there was no row.
        """
        raise NotImplementedError

    def remember(self, digest: bytes, name: str, rejected: int, written: Written | None) -> None:
        """Note a file as imported."""
        raise NotImplementedError
