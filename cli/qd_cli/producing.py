"""``qd produce``: from chunks of bytes to acknowledged records. It prints nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from qd_cli.errors import CliError, NotAcknowledged
from qd_cli.record_inputs import Input, Records
from qd_fluvio import Compression, Fluvio, FluvioError, Producer

CHUNK_BYTES = 256 * 1024


@dataclass(slots=True)
class Meter:
    """How far producing is. Written while it runs, read by whoever shows it."""

    bytes_read: int = 0
    bytes_sent: int = 0
    sent: int = 0
    acknowledged: int = 0
    began: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Begin to count the time: the cluster is there."""
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return max(time.monotonic() - self.began, 1e-9)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where records go.

    Attributes
    ----------
    partition : int or None
        None spreads them as Fluvio does: by their keys, else in turn.
    each_at_once : bool
        Wait for the acknowledgement of each chunk, as for a person who types.
    """

    topic: str
    partition: int | None
    compression: Compression
    each_at_once: bool = False


async def produce(
    fluvio: Fluvio,
    where: Destination,
    chunks: AsyncIterator[bytes],
    records: Input,
    meter: Meter,
) -> None:
    """Produce everything, and return when all of it is acknowledged.

    Raises
    ------
    NotAcknowledged
        It is not; the message says how much of it is, and how to go on.
    CliError
        The input makes no sense from somewhere on; what was before is acknowledged.
    """
    partitions = (await fluvio.describe_topic(where.topic)).partitions
    is_one = where.partition is not None or partitions == 1
    producer = await fluvio.producer(
        where.topic, partition=where.partition, compression=where.compression
    )
    try:
        try:
            await _send_all(producer, where, chunks, records, meter)
        except CliError as error:
            await producer.flush()
            raise _after(error, producer.sent) from None
        await producer.flush()
    except FluvioError as error:
        raise _unacknowledged(error, producer, is_one) from error
    finally:
        with contextlib.suppress(FluvioError):  # flushed above, or an error says what is not
            await producer.aclose()
        meter.sent, meter.acknowledged = producer.sent, producer.acknowledged


async def _send_all(
    producer: Producer,
    where: Destination,
    chunks: AsyncIterator[bytes],
    records: Input,
    meter: Meter,
) -> None:
    async for chunk in chunks:
        meter.bytes_read += len(chunk)
        await _send(producer, records.feed(chunk), meter)
        if where.each_at_once:
            await producer.flush()
    await _send(producer, records.end(), meter)


async def _send(producer: Producer, found: Records, meter: Meter) -> None:
    if found.values:
        with_keys = any(key is not None for key in found.keys)
        await producer.send_many(found.values, found.keys if with_keys else None)
        meter.bytes_sent += sum(map(len, found.values))
    meter.sent, meter.acknowledged = producer.sent, producer.acknowledged
    if found.error is not None:
        raise found.error


def _after(error: CliError, sent: int) -> CliError:
    return type(error)(f"{error}; the {sent} records before it are produced") if sent else error


def _unacknowledged(error: FluvioError, producer: Producer, is_one: bool) -> NotAcknowledged:
    done, sent = producer.acknowledged, producer.sent
    advice = (
        f"go on with record {done + 1}"
        if is_one
        else "spread over its partitions, so what is sent again may be there twice"
    )
    return NotAcknowledged(
        f"{error}; {done} of {sent} records that were sent are acknowledged: {advice}"
    )


async def chunks_of(handle: int) -> AsyncIterator[bytes]:
    """What can be read from a file descriptor, as it comes, to its end.

    It is read on a thread of its own, as a terminal or a pipe may never give anything: the
    thread does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=1)

    def read() -> None:
        chunk: bytes | OSError = b"-"
        while chunk and isinstance(chunk, bytes):
            try:
                chunk = os.read(handle, CHUNK_BYTES)
            except OSError as error:
                chunk = error
            put = queue.put(chunk)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except BaseException:  # the loop has ended: nobody wants it any more
                put.close()
                return

    threading.Thread(target=read, name="input", daemon=True).start()
    while chunk := await queue.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
