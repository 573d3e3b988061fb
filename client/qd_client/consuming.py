"""Streams to callbacks, and streams to one array."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import numpy as np

from qd_schemas.arrays import TRADE, Rows

T = TypeVar("T")
Callback: TypeAlias = Callable[[T], Awaitable[Any] | Any]
"""Gets each item; one that returns False ends its stream."""


async def consume(stream: AsyncGenerator[T, None], callback: Callback[T]) -> None:
    """Give each item of a stream to a callback, until its end.

    The next item waits until the callback, or what it returns to be awaited, is done: a slow
    callback slows its own stream down and holds no more in memory.

    Parameters
    ----------
    stream : asynchronous generator
        Of trades, bars, messages, alerts or a replay's `events`; it is closed at the end.
    callback : callable
        A function, or a coroutine function. One that returns False ends the stream.

    Raises
    ------
    Exception
        Whatever the stream or the callback raises; the stream is closed first.
    """
    async with aclosing(stream):
        async for item in stream:
            answer = callback(item)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer is False:
                return


async def consume_all(*pairs: tuple[AsyncGenerator[Any, None], Callback[Any]]) -> None:
    """Do `consume` with several streams at once; the first failure ends them all.

    Parameters
    ----------
    pairs : tuple of stream and callback
        Each as `consume` takes them.

    Raises
    ------
    Exception
        What the first of them raised.
    """
    tasks = [asyncio.ensure_future(consume(*pair)) for pair in pairs]
    try:
        for ended in asyncio.as_completed(tasks):
            await ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def collect(stream: AsyncGenerator[Rows, None], dtype: np.dtype[np.void] = TRADE) -> Rows:
    """Read a stream of arrays to its end, as one array.

    Parameters
    ----------
    stream : asynchronous generator of arrays
        It is closed at the end.
    dtype : numpy.dtype
        Of the array that stands for no rows at all.
    """
    async with aclosing(stream):
        return joined([rows async for rows in stream], dtype)


def joined(parts: list[Rows], dtype: np.dtype[np.void]) -> Rows:
    """Make one array of many, which are let go as it grows: so it takes little more than once."""
    if len(parts) == 1:
        return parts.pop()
    whole: Rows = np.empty(sum(map(len, parts)), parts[0].dtype if parts else dtype)
    begin = 0
    parts.reverse()
    while parts:
        rows = parts.pop()
        whole[begin : begin + len(rows)] = rows
        begin += len(rows)
    return whole
