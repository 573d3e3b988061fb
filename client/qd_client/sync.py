"""The gateway's client for programs and notebooks without asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from qd_client.blocking import LoopThread
from qd_client.client import QDClient
from qd_client.errors import UsageError
from qd_client.replay import Replay, SyncReplay
from qd_client.stream import RowStream
from qd_schemas.arrays import Rows

P = ParamSpec("P")
T = TypeVar("T")


class SyncRowStream(Iterator[Rows]):
    """Rows of one market in arrays; and how far that is. See `RowStream`."""

    def __init__(self, thread: LoopThread, stream: RowStream) -> None:
        self._stream = stream
        self._arrays = thread.iterate(stream)

    @property
    def next_sequence(self) -> int:
        """The number of the row that comes next."""
        return self._stream.next_sequence

    @property
    def rows(self) -> int:
        """How many rows were given."""
        return self._stream.rows

    @property
    def resumed(self) -> int:
        """How often the stream was interrupted and asked for again."""
        return self._stream.resumed

    def __next__(self) -> Rows:
        """The next array."""
        return next(self._arrays)

    def close(self) -> None:
        """End the stream."""
        self._arrays.close()


def _opened(kind: Callable[P, QDClient]) -> Callable[Concatenate[SyncQDClient, P], None]:
    """A constructor with the client's own parameters."""

    @wraps(QDClient.__init__)
    def construct(self: SyncQDClient, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self._client = kind(*args, **kwargs)
        self._thread = None

    return construct


def _rows(
    method: Callable[Concatenate[QDClient, P], RowStream],
) -> Callable[Concatenate[SyncQDClient, P], SyncRowStream]:
    """An iterator of the arrays that the client gives as an asynchronous one."""

    @wraps(method)
    def iterate(self: SyncQDClient, /, *args: P.args, **kwargs: P.kwargs) -> SyncRowStream:
        thread = self._open()
        return SyncRowStream(thread, method(self._client, *args, **kwargs))

    return iterate


def _items(
    method: Callable[Concatenate[QDClient, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[SyncQDClient, P], Iterator[T]]:
    """The same of what comes one by one."""

    @wraps(method)
    def iterate(self: SyncQDClient, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        thread = self._open()
        return thread.iterate(method(self._client, *args, **kwargs))

    return iterate


def _replay(
    method: Callable[Concatenate[QDClient, P], Replay],
) -> Callable[Concatenate[SyncQDClient, P], SyncReplay]:
    @wraps(method)
    def replay(self: SyncQDClient, /, *args: P.args, **kwargs: P.kwargs) -> SyncReplay:
        return SyncReplay(self._open(), method(self._client, *args, **kwargs))

    return replay


class SyncQDClient:
    """`QDClient` whose calls wait; any number of threads may use one.

    The parameters are those of `QDClient`, and so are those of each method and what it raises.
    Ctrl-C ends a call or an iteration at once, and leaving ``with`` logs out. Notebooks can use
    it in any cell.

    Examples
    --------
    >>> with SyncQDClient() as qd:  # doctest: +SKIP
    ...     for rows in qd.trades("XBTUSD"):
    ...         print(rows["price"].mean())
    """

    _client: QDClient
    _thread: LoopThread | None

    __init__ = _opened(QDClient)

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise UsageError("the client is open already; open another")
        thread = LoopThread()
        try:
            thread.run(self._client.__aenter__())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self._client.__aexit__(None, None, None))
            finally:
                thread.close()

    @property
    def client_id(self) -> int:
        """The id that the client is logged in with."""
        return self._client.client_id

    trades = _rows(QDClient.trades)
    bars = _rows(QDClient.bars)
    trade_messages = _items(QDClient.trade_messages)
    bar_messages = _items(QDClient.bar_messages)
    alerts = _items(QDClient.alerts)
    replay = _replay(QDClient.replay)

    def _open(self) -> LoopThread:
        if self._thread is None:
            raise UsageError("the client is not open; use it inside `with SyncQDClient(…)`")
        return self._thread
