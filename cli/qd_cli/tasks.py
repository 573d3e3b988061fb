"""Coroutines beside each other, where the first error is the one that counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from qd_schemas.errors import QdError

T = TypeVar("T")


@contextlib.asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless coroutines while the block runs; one's error ends the block with it."""
    with _first_error():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run coroutines to their ends; one's error cancels the others."""
    with _first_error():
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)


async def all_of(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines to their results, in order; one's error cancels the others."""
    with _first_error():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, however often this is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()


@contextlib.contextmanager
def _first_error() -> Iterator[None]:
    try:
        yield
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick the one error of a group that a user should see."""
    flat = [
        first_of(failure) if isinstance(failure, BaseExceptionGroup) else failure
        for failure in failures.exceptions
    ]
    return next((failure for failure in flat if isinstance(failure, QdError)), flat[0])
