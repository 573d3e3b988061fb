"""The symbol master's client: which markets there are, over gRPC.

Every call has a deadline. It keeps nothing: an import is seen by the next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.exceptions import ProtocolError, StreamTerminatedError

from qd_client.errors import ExchangeNotFound, SymbolNotFound, SymdbUnavailable, UsageError
from qd_schemas.enums import ExchangeId
from qd_schemas.symdb_grpc import (
    ExchangeNameRequest,
    IdBySymbolRequest,
    ListSymbolsRequest,
    Symbol,
    SymbolByIdRequest,
    SymbolMasterStub,
)

DEADLINE_SECONDS_DEFAULT: Final = 5.0
EXCHANGE_ID_MAX: Final = 255
SYMBOL_ID_MAX: Final = 65_535

_Request = TypeVar("_Request", contravariant=True)
_Reply = TypeVar("_Reply", covariant=True)


class _Call(Protocol[_Request, _Reply]):
    """A method of the generated stub."""

    def __call__(self, request: _Request, /, *, timeout: float) -> Awaitable[_Reply]: ...


@dataclass(frozen=True, slots=True)
class MarketInfo:
    """A symbol on an exchange, and what is stored of it.

    Attributes
    ----------
    exchange_id, symbol_id : int
        What messages call it; the symbol id is the exchange's own.
    symbol : str
        Its name there, such as ``XBTEUR``.
    trades : int
        How many trades are stored, which is also the last sequence number.
    first_time, last_time : int
        Of the first and the last trade, microseconds since the epoch, UTC.
    """

    exchange_id: int
    symbol_id: int
    symbol: str
    trades: int
    first_time: int
    last_time: int


class SymdbClient:
    """Asks the symbol master.

    Parameters
    ----------
    host, port : str, int
        Where it listens.
    deadline_s : float
        Seconds that a call may take, connecting included.

    Examples
    --------
    >>> async with SymdbClient("127.0.0.1", 7070) as symdb:  # doctest: +SKIP
    ...     market = await symdb.id_by_symbol(ExchangeId.KRAKEN, "XBTEUR")

    Notes
    -----
    Connects at the first call, and again after a loss. Every call raises `SymdbUnavailable`
    where the service or its database cannot be asked, and `ExchangeNotFound` where there is
    no such exchange.
    """

    def __init__(
        self, host: str, port: int, *, deadline_s: float = DEADLINE_SECONDS_DEFAULT
    ) -> None:
        self._endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._address = (host, port)
        self._deadline_s = deadline_s
        self._channel: Channel | None = None

    async def __aenter__(self) -> Self:
        self._channel = Channel(*self._address)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def exchange_name(self, exchange_id: int = ExchangeId.KRAKEN) -> str:
        """The name of an exchange."""
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        request = ExchangeNameRequest(exchange_id)
        return (await self._ask(lambda stub: stub.exchange_name, request)).name

    async def symbol_by_id(self, exchange_id: int, symbol_id: int) -> MarketInfo:
        """The market with this symbol id.

        Raises
        ------
        SymbolNotFound
            The exchange has none.
        """
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        _check("symbol id", symbol_id, SYMBOL_ID_MAX)
        request = SymbolByIdRequest(exchange_id, symbol_id)
        return _market(await self._ask(lambda stub: stub.symbol_by_id, request))

    async def id_by_symbol(self, exchange_id: int, symbol: str) -> MarketInfo:
        """The market with this symbol.

        Raises
        ------
        SymbolNotFound
            The exchange has none.
        """
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        _check_text(symbol)
        request = IdBySymbolRequest(exchange_id, symbol)
        return _market(await self._ask(lambda stub: stub.id_by_symbol, request))

    async def list_symbols(self, exchange_id: int = ExchangeId.KRAKEN) -> list[MarketInfo]:
        """All markets of an exchange that have trades, by symbol id."""
        _check("exchange id", exchange_id, EXCHANGE_ID_MAX)
        request = ListSymbolsRequest(exchange_id)
        reply = await self._ask(lambda stub: stub.list_symbols, request)
        return [_market(symbol) for symbol in reply.symbols]

    async def _ask(
        self, method: Callable[[SymbolMasterStub], _Call[_Request, _Reply]], request: _Request
    ) -> _Reply:
        """Make one call within the deadline; its failures become this package's errors."""
        channel = self._channel
        if channel is None:
            raise UsageError("the symdb client is not open; use it in `async with`")
        call = method(SymbolMasterStub(channel))
        try:
            async with asyncio.timeout(self._deadline_s):
                # In a task of its own: when a connection is lost, the library cancels the task
                # that made the call, at times after the call has ended.
                return await asyncio.ensure_future(call(request, timeout=self._deadline_s))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise self._unavailable("the connection was lost") from None
        except GRPCError as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            channel.close()  # it may be dead without knowing it; the next call connects anew
            raise self._unavailable(f"no answer within {self._deadline_s:g} s") from error
        except (OSError, StreamTerminatedError, ProtocolError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from error

    def _refusal(self, error: GRPCError) -> Exception:
        said = error.message or error.status.name
        if error.status is Status.INVALID_ARGUMENT:
            return ExchangeNotFound(said)
        if error.status is Status.NOT_FOUND:
            return SymbolNotFound(said)
        if error.status in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED):
            return self._unavailable(said)
        return self._unavailable(f"status {error.status.name}: {said}")

    def _unavailable(self, why: str) -> SymdbUnavailable:
        return SymdbUnavailable(
            f"symdb at {self._endpoint} cannot be asked ({why}); expected it to run there: "
            "start it, or check QD_SYMDB"
        )


def _check(what: str, value: int, highest: int) -> None:
    if not 0 <= value <= highest:
        raise UsageError(f"{what} is {value}; expected 0 to {highest}")


def _check_text(symbol: str) -> None:
    try:
        symbol.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"symbol {symbol!r} is no text; expected one such as XBTEUR") from error


def _market(symbol: Symbol) -> MarketInfo:
    return MarketInfo(
        symbol.exchange_id,
        symbol.symbol_id,
        symbol.symbol,
        symbol.trades,
        symbol.first_time,
        symbol.last_time,
    )
