"""One connection to the symbol master: calls with a deadline, tried again where that may help.

Every call only reads, so each may be made again. Failures become this package's errors.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError
from grpclib import GRPCError, Status
from grpclib.config import Configuration
from grpclib.exceptions import ProtocolError, StreamTerminatedError

from qd_client.errors import (
    ExchangeNotFound,
    QdClientError,
    SymbolNotFound,
    SymdbTlsFailed,
    SymdbUnavailable,
)
from qd_client.symdb.channel import ClosingChannel
from qd_client.symdb.tls import tls_of, tls_words
from qd_schemas.specs import TlsSettings
from qd_schemas.symdb_grpc import SymbolMasterStub
from qd_schemas.symdb_messages import SymdbCodec

TRIES_MAX: Final = 4
RETRY_SECONDS: Final = 0.05
"""Before the second try; twice as long before each further one, less up to half by chance."""

_RETRIED: Final = (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED)
Method: TypeAlias = Callable[[SymbolMasterStub], Callable[..., Awaitable[Any]]]
"""One of the generated stub's, whose requests and replies are of `symdb_messages`."""


class Connection:
    """A channel that connects at the first call, and again after a loss.

    Parameters
    ----------
    host, port : str, int
        Where the symbol master listens.
    deadline_s : float
        Seconds that a call may take, with connecting and further tries.
    tls : TlsSettings or None
        None speaks without TLS.
    """

    def __init__(self, host: str, port: int, deadline_s: float, tls: TlsSettings | None) -> None:
        self.endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._deadline_s = deadline_s
        self._domain = (tls.domain if tls else "") or host
        self._channel = ClosingChannel(
            host,
            port,
            codec=SymdbCodec(),
            tls=tls_of(tls) if tls else None,
            config=Configuration(ssl_target_name_override=self._domain if tls else None),
        )
        self._stub = SymbolMasterStub(self._channel)

    async def close(self) -> None:
        """Close it; what is under way fails."""
        await self._channel.aclose()

    async def ask(self, method: Method, request: Any) -> Any:
        """Make one call, again if that may help, all within the deadline.

        Raises
        ------
        QdClientError
            What it failed with last.
        """
        clock = asyncio.get_running_loop()
        until = clock.time() + self._deadline_s
        for number in range(1, TRIES_MAX + 1):
            delay = RETRY_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1)
            try:
                return await self._ask_once(method(self._stub), request, until - clock.time())
            except _TryAgain as error:
                if number == TRIES_MAX or clock.time() + delay >= until:
                    raise error.error from error.__cause__
            await asyncio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def watch(self, request: Any, silence_s: float) -> AsyncIterator[Any]:
        """Give the messages of one watch, for as long as it lasts.

        Parameters
        ----------
        request : WatchSymbolsRequest
            What to watch.
        silence_s : float
            How long the service may say nothing.

        Raises
        ------
        QdClientError
            Why it ended; it has no other end.
        """
        messages = self._stub.watch_symbols(request).__aiter__()
        try:
            while True:
                before = _cancellations()
                try:
                    async with asyncio.timeout(silence_s):
                        # In a task of its own, as below.
                        message = await asyncio.ensure_future(_next(messages))
                except (Exception, asyncio.CancelledError) as error:
                    raise self._told(error, silence_s, before) from error
                if message is None:
                    raise self._unavailable("the watch ended")
                yield message
        finally:
            await messages.aclose()  # type: ignore[attr-defined]  # it is a generator

    async def _ask_once(
        self, call: Callable[..., Awaitable[Any]], request: Any, seconds: float
    ) -> Any:
        before = _cancellations()
        try:
            async with asyncio.timeout(seconds):
                # In a task of its own: when a connection is lost, the library cancels the task
                # that made the call, at times after the call has ended.
                return await asyncio.ensure_future(call(request, timeout=seconds))
        except (Exception, asyncio.CancelledError) as error:
            told = self._told(error, self._deadline_s, before)
            raise (_TryAgain(told) if _may_help(error) else told) from error

    def _told(self, error: BaseException, seconds: float, cancellations: int) -> QdClientError:
        """An error in this package's words; raises what is none of a call."""
        if _cancellations() > cancellations:
            # Also where the library made another error of it.
            raise asyncio.CancelledError from error
        match error:
            case asyncio.CancelledError():
                return self._unavailable("the connection was lost")
            case GRPCError():
                return self._refusal(error)
            case TimeoutError():
                self._channel.close()  # it may be dead without knowing it; the next call connects
                return self._unavailable(f"no answer within {seconds:g} s")
            case ssl.SSLError():
                return SymdbTlsFailed(
                    f"no secure connection to symdb at {self.endpoint}: "
                    f"{tls_words(error, self._domain)}"
                )
            case OSError() | StreamTerminatedError() | ProtocolError():
                return self._unavailable(str(error) or type(error).__name__)
            case DecodeError() | AssertionError() | NotImplementedError():
                # What the library makes of an answer that is no message, cut off, or compressed.
                return self._unavailable(f"its answer makes no sense: {str(error) or 'empty'}")
        raise error

    def _refusal(self, error: GRPCError) -> QdClientError:
        said = error.message or error.status.name
        if error.status is Status.INVALID_ARGUMENT:
            return ExchangeNotFound(said)
        if error.status is Status.NOT_FOUND:
            return SymbolNotFound(said)
        if error.status in (*_RETRIED, Status.DEADLINE_EXCEEDED, Status.CANCELLED):
            return self._unavailable(said)
        return self._unavailable(f"status {error.status.name}: {said}")

    def _unavailable(self, why: str) -> SymdbUnavailable:
        return SymdbUnavailable(
            f"symdb at {self.endpoint} cannot be asked ({why}); expected it to run there: "
            "start it, or check QD_SYMDB"
        )


class _TryAgain(Exception):
    """A failure after which the call may be made again."""

    def __init__(self, error: QdClientError) -> None:
        super().__init__(str(error))
        self.error = error


def _may_help(error: BaseException) -> bool:
    if isinstance(error, GRPCError):
        return error.status in _RETRIED
    if isinstance(error, TimeoutError | ssl.SSLError | ProtocolError):
        return False
    return isinstance(error, OSError | StreamTerminatedError | asyncio.CancelledError)


def _cancellations() -> int:
    """How often this task was cancelled; by the library, that is by nobody, does not count."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


async def _next(messages: AsyncIterator[Any]) -> Any | None:
    return await anext(messages, None)
