"""A running fetch: batches in order, and at any moment the query of what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Generic, TypeVar

from qd_schemas.arrays import Rows
from qd_store.errors import (
    ConnectionLost,
    FetchCancelled,
    FetchFailed,
    FetchLost,
    FetchStopped,
    QueryFailed,
    QueryTimedOut,
)
from qd_store.reading.queries import Query

Q = TypeVar("Q", bound=Query)
T = TypeVar("T")


class Fetch(AsyncIterator[T], Generic[Q, T]):
    """An asynchronous iterator of batches; made by the store's `fetch` and `fetch_frames`.

    Leaving it early, by `aclose`, by cancellation or by forgetting it, ends its query.

    Parameters
    ----------
    query : Query
        What is fetched.
    batches : async generator of ndarray
        Its rows.
    form : callable
        Makes of the rows, and of the query that they are the first of, what is given.

    Raises
    ------
    FetchStopped
        While it is iterated over: the fetch ended early; the error's `rest` fetches on.
    """

    def __init__(
        self, query: Q, batches: AsyncGenerator[Rows], form: Callable[[Rows, Q], T]
    ) -> None:
        self._rest = query
        self._batches = batches
        self._form = form
        self._reader: asyncio.Task[object] | None = None
        self._is_cancelled = False

    @property
    def rest(self) -> Q:
        """The query of all that has not been given; fetching it misses and repeats nothing."""
        return self._rest

    def cancel(self) -> None:
        """Make whoever iterates get `FetchCancelled`, soon; may be called by another task."""
        if self._reader is not None and not self._is_cancelled:  # once: it takes back one
            self._reader.cancel()
        self._is_cancelled = True

    async def aclose(self) -> None:
        """End the query, if it runs, and give its connection back."""
        await self._batches.aclose()

    async def __anext__(self) -> T:
        try:
            rows = await self._next()
        except (ConnectionLost, QueryTimedOut) as error:
            raise self._stopped(FetchLost, str(error)) from error
        except QueryFailed as error:
            raise self._stopped(FetchFailed, str(error)) from error
        given = self._form(rows, self._rest)
        self._rest = self._rest.after(rows)  # type: ignore[assignment]  # of the same class
        return given

    async def _next(self) -> Rows:
        reader = asyncio.current_task()
        assert reader is not None  # a coroutine of asyncio runs in one
        if self._is_cancelled:
            await self.aclose()
            raise self._stopped(FetchCancelled, "it was cancelled")
        asked_before = reader.cancelling()
        self._reader = reader
        try:
            return await anext(self._batches)
        except asyncio.CancelledError:
            # As asyncio.timeout does: this cancellation was ours, if nobody else asked too.
            if self._is_cancelled and reader.uncancel() <= asked_before:
                raise self._stopped(FetchCancelled, "it was cancelled") from None
            raise
        finally:
            self._reader = None

    def _stopped(self, kind: type[FetchStopped], why: str) -> FetchStopped:
        return kind(f"the fetch ended before its end ({why}); left are: {self._rest}", self._rest)
