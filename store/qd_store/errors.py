"""What can go wrong in the market database and its files.

::

    QdError
     └─ StoreError               anything of this package
         ├─ DatabaseUnreachable  no connection could be made (retriable)
         ├─ ConnectionLost       a connection ended in the middle (retriable)
         ├─ TooManyStreams       the bound of open streams is reached (retriable)
         ├─ QueryTimedOut        the database did not answer in time (retriable)
         ├─ QueryFailed          the database refused a statement
         │   └─ RightMissing       the connection's role may not do that
         ├─ FetchStopped         a fetch ended early; it knows the query of what is left
         │   ├─ FetchLost          the database went away, or fell silent (retriable)
         │   ├─ FetchFailed        the database refused to go on, or the store was closed
         │   └─ FetchCancelled     the caller cancelled it (retriable)
         ├─ SchemaMismatch       the tables are missing, or newer than this program
         ├─ UnknownMarket        a symbol that is not in the table
         ├─ CheckStopped         the caller asked to stop a check
         ├─ RolesRefused         roles that this connection, or a name, cannot make
         ├─ PsqlMissing          no psql on this machine
         ├─ UnknownExchange      an exchange that has no adapter, or is another one in the database
         ├─ SymbolIdsExhausted   an exchange has used all its u16 ids
         ├─ AppendRefused        trades that cannot be added to a market as they are
         │   ├─ SequenceGap        trades before them are missing
         │   ├─ TradesDiffer       stored under a sequence is another trade
         │   ├─ TradesOutOfOrder   times that fall
         │   └─ TradesInvalid      rows that are no trades
         ├─ ImportFailed         files that cannot be imported
         │   ├─ SourceUnreadable   a path that is missing, broken or not a file of trades
         │   │   └─ SourceLost       a bucket that does not answer now (retriable)
         │   ├─ UnknownLayout      columns that no known layout has
         │   ├─ FolderUnusable     no room, or no way to write, where an import writes files
         │   ├─ SourceRefused      bad lines in a file that must have none
         │   └─ ImportStopped      the caller asked to stop; nothing half done remains
         └─ EmbeddedError        the embedded server
             ├─ DataFolderInUse    another process runs on the same data folder
             └─ EmbeddedFailed     PostgreSQL could not be set up or started
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qd_schemas.errors import QdError

if TYPE_CHECKING:
    from qd_store.reading.queries import Query


class StoreError(QdError):
    """Anything that goes wrong in the market database and its files."""


class DatabaseUnreachable(StoreError):
    """No connection to the database could be made."""

    retriable: ClassVar[bool] = True


class ConnectionLost(StoreError):
    """A connection ended in the middle of its work."""

    retriable: ClassVar[bool] = True


class TooManyStreams(StoreError):
    """As many streams are open as the store allows."""

    retriable: ClassVar[bool] = True


class QueryTimedOut(StoreError):
    """The database did not answer in time."""

    retriable: ClassVar[bool] = True


class QueryFailed(StoreError):
    """The database refused a statement."""


class RightMissing(QueryFailed):
    """The connection's role has no right to do that."""


class FetchStopped(StoreError):
    """A fetch ended before its end.

    Attributes
    ----------
    rest : Query
        The query of all that was not given: of trades with the next sequence, of bars with
        the next bar's number, of merged markets with each one's. Fetching it misses and
        repeats nothing.
    """

    def __init__(self, message: str, rest: Query) -> None:
        super().__init__(message)
        self.rest = rest


class FetchLost(FetchStopped):
    """The database went away, or fell silent."""

    retriable: ClassVar[bool] = True


class FetchFailed(FetchStopped):
    """The database refused to go on, or the store was closed."""


class FetchCancelled(FetchStopped):
    """The caller cancelled it."""

    retriable: ClassVar[bool] = True


class SchemaMismatch(StoreError):
    """The tables are missing, or newer than this program."""


class UnknownMarket(StoreError):
    """A symbol that no exchange has in the table of symbols."""


class CheckStopped(StoreError):
    """The caller asked to stop a check; nothing was changed."""


class RolesRefused(StoreError):
    """Roles that cannot be made: the connection is no superuser's, or names make no sense."""


class PsqlMissing(StoreError):
    """PostgreSQL's own client is not on this machine."""


class UnknownExchange(StoreError):
    """An exchange that has no adapter, or whose id or name another one has in the database."""


class SymbolIdsExhausted(StoreError):
    """An exchange has used all its u16 symbol ids."""


class AppendRefused(StoreError):
    """Trades that cannot be added to a market as they are; none of them was."""


class SequenceGap(AppendRefused):
    """Trades before those given are missing.

    Attributes
    ----------
    next_sequence : int
        The first one that is missing.
    """

    def __init__(self, message: str, *, next_sequence: int) -> None:
        super().__init__(message)
        self.next_sequence = next_sequence


class TradesDiffer(AppendRefused):
    """Stored under a sequence is another trade than the one given; stored ones never change.

    Attributes
    ----------
    sequence : int
        The first one that differs.
    """

    def __init__(self, message: str, *, sequence: int) -> None:
        super().__init__(message)
        self.sequence = sequence


class TradesOutOfOrder(AppendRefused):
    """Times that fall, among the trades given or below the last stored one."""


class TradesInvalid(AppendRefused):
    """Rows that are no trades: a price not above zero, a time out of range and the like."""


class ImportFailed(StoreError):
    """Files that cannot be imported."""


class SourceUnreadable(ImportFailed):
    """A path that is missing, broken or not a file of trades."""


class SourceLost(SourceUnreadable):
    """A bucket, or the connection to it, is not there now."""

    retriable: ClassVar[bool] = True


class UnknownLayout(ImportFailed):
    """Columns that no known layout has."""


class FolderUnusable(ImportFailed):
    """A folder in which an import must write cannot be written in, or is full."""


class SourceRefused(ImportFailed):
    """Bad lines in a file that must have none."""


class ImportStopped(ImportFailed):
    """The caller asked to stop; nothing half done remains in the tables."""


class EmbeddedError(StoreError):
    """The embedded PostgreSQL server."""


class DataFolderInUse(EmbeddedError):
    """Another process runs on the same data folder."""


class EmbeddedFailed(EmbeddedError):
    """PostgreSQL could not be set up or started."""
