"""Batches through a chain of SmartModules: what consumers get, and what producers store.

A consumer gets one batch for many, as from a real SPU: it has the offsets that the records
had before, but its records are counted from the first, so those that were filtered out
leave no gap. A producer's batches are stored one by one, without gaps.

Real SPUs lose what comes after a consumer's `max_bytes`, a producer's times, and clients
that want to stop at the partition's end when the first or last records there were filtered
out: they wait for ever. None of this is so here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qd_fluvio.broker.segment import Portion
from qd_fluvio.broker.smartmodules.chain import Chain
from qd_fluvio.broker.smartmodules.errors import ModuleFailed, ModuleFault
from qd_fluvio.broker.smartmodules.interface import ModuleInput
from qd_fluvio.broker.smartmodules.limits import INPUT_BYTES_MAX, SCAN_BYTES_MAX, WORK_BYTES
from qd_fluvio.broker.smartmodules.records import EMPTY, Block, joined, take_block, without_first
from qd_fluvio.broker.smartmodules.runner import RunningChain
from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.compression import Compression, compression_of
from qd_fluvio.wire.failures import OK, Failure, other
from qd_fluvio.wire.records import (
    Batch,
    checked_batches,
    iter_batches,
    open_records,
    pack_batch,
)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one batch, or of its records from an offset on."""

    start_offset: int
    next_offset: int
    compression: Compression
    timestamp_ms: int
    records: Block
    failure: Failure = OK
    ended: bool = False

    @property
    def size(self) -> int:
        """Bytes of the records."""
        return len(self.records.body)


@dataclass(frozen=True, slots=True)
class Response:
    """What a consumer is sent; `ended` says that nothing can follow."""

    records: bytes
    next_offset: int
    failure: Failure
    ended: bool


class TransformedLog:
    """A partition as one consumer sees it through its SmartModules.

    Parameters
    ----------
    chain : RunningChain
        The modules, which this does not close.
    read : callable
        Whole batches from the one that holds an offset on, up to so many bytes.
    position : int
        Where to begin.
    end_offset : int
        The partition's end now. Clients that stop there are told when it is reached.

    Attributes
    ----------
    position : int
        The offset up to which records have passed the modules and were sent, or dropped.
    """

    def __init__(
        self,
        chain: RunningChain,
        read: Callable[[int, int], Portion],
        *,
        position: int,
        end_offset: int,
    ) -> None:
        self.position = position
        self._told = position
        self._end_offset = end_offset
        self._chain = chain
        self._read = read
        self._held: Made | None = None

    def seek(self, offset: int) -> None:
        """Go on from that offset."""
        if offset != self.position:
            self._held = None
            self.position = self._told = offset

    async def read(self, max_bytes: int) -> Response | None:
        """What the modules make of the records from `position` on, or None if nothing.

        Parameters
        ----------
        max_bytes : int
            For the records before they are compressed; one batch may have more.

        Raises
        ------
        ModuleFailed
            If the modules cannot go on.
        OffsetOutOfRange, LogError
            If the log cannot be read.
        """
        gathered = await self._gather(max_bytes)
        if not gathered:
            return None
        last = gathered[-1]
        self.position = last.next_offset
        survivors = [made for made in gathered if made.records.count]
        reached_end = self._told < self._end_offset <= last.next_offset
        if not survivors and not last.failure and not reached_end:
            return None
        taken = last.next_offset - self._told
        self._told = last.next_offset
        records = await self._chain.run(lambda _: _merged(survivors or gathered, taken))
        self._chain.hold(len(records) + (0 if self._held is None else self._held.size))
        return Response(records, last.next_offset, last.failure, last.ended)

    async def _gather(self, max_bytes: int) -> list[Made]:
        gathered = [] if self._held is None else [self._held]
        self._held = None
        offset = gathered[0].next_offset if gathered else self.position
        size = sum(made.size for made in gathered)
        scanned = 0
        while not (gathered and gathered[-1].failure) and size <= max_bytes:
            portion = self._read(offset, WORK_BYTES)
            if not portion.records or (size and scanned >= SCAN_BYTES_MAX):
                break
            room = max_bytes - size
            made = await self._chain.run(
                partial(transformed, data=portion.records, start=offset, room=room)
            )
            gathered += made
            size += sum(item.size for item in made)
            scanned += len(portion.records)
            offset = made[-1].next_offset
        if size > max_bytes and size > gathered[-1].size:
            self._held = gathered.pop()
        return gathered


def transformed(chain: Chain, *, data: Buffer, start: int, room: int) -> list[Made]:
    """Pass batches through the chain until one fails or `room` bytes are exceeded."""
    result: list[Made] = []
    for batch in iter_batches(data):
        made = _pass(chain, data, batch, start=start, fault="SmartModule err")
        result.append(made)
        room -= made.size
        if made.failure or room < 0:
            break
    return result


def stored(chain: Chain, *, data: memoryview) -> bytearray:
    """What a producer's batches are stored as; batches without survivors are left out.

    Raises
    ------
    ModuleFailed
        If a module refuses a record, or cannot go on.
    WireError
        If the bytes are not whole batches.
    """
    out = bytearray()
    for batch in checked_batches(data):
        made = _pass(chain, data, batch, start=batch.base_offset, fault="smartmodule chain failed:")
        if made.failure:
            raise ModuleFailed(made.failure)
        if made.records.count:
            out += pack_batch(
                made.records.packed(),
                made.records.count,
                timestamps_ms=(made.timestamp_ms, made.timestamp_ms),
                compression=made.compression,
            )
    return out


def _pass(chain: Chain, data: Buffer, batch: Batch, *, start: int, fault: str) -> Made:
    """One batch through the chain, without its records before `start`.

    What `fault` says comes before the words of a module that cannot go on.
    """
    first = max(start, batch.base_offset)
    kind = compression_of(batch.attributes)
    made = partial(Made, first, batch.next_offset, kind, batch.first_timestamp_ms)
    try:
        block, _ = take_block(open_records(data, batch, limit_bytes=INPUT_BYTES_MAX))
        block = without_first(block, first - batch.base_offset)
        output = chain.process(ModuleInput(batch.base_offset, batch.first_timestamp_ms, block))
    except (ModuleFault, WireError) as error:
        return made(EMPTY, other(f"{fault} {error}"), ended=True)
    return made(output.records, output.failure or OK)


def _merged(parts: list[Made], offsets: int) -> bytes:
    """One batch of all records, which counts for so many offsets: clients add them up."""
    first = parts[0]
    return pack_batch(
        joined([made.records for made in parts]).packed(),
        offsets,
        base_offset=first.start_offset,
        compression=first.compression,
    )
