"""The earlier records of a partition that a SmartModule wants to see before the first one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial

from qd_fluvio.broker.readable import ReadableLog
from qd_fluvio.broker.smartmodules.chain import Chain
from qd_fluvio.broker.smartmodules.errors import ModuleFailed, look_back_failed
from qd_fluvio.broker.smartmodules.limits import LOOKBACK_BYTES_MAX, SCAN_BYTES_MAX
from qd_fluvio.broker.smartmodules.records import (
    Block,
    joined,
    take_block,
    without_first,
    young_records,
)
from qd_fluvio.broker.smartmodules.runner import RunningChain
from qd_fluvio.wire.records import Batch, iter_batches, open_records
from qd_fluvio.wire.smartmodules import Lookback


async def look_back(chain: RunningChain, log: ReadableLog, now_ms: Callable[[], int]) -> None:
    """Show every module of the chain the records that it wants to see.

    Parameters
    ----------
    now_ms : callable
        The time, in ms since 1970.

    Raises
    ------
    ModuleFailed
        If a module refuses one, or wants too many.
    """
    for index, lookback in enumerate(chain.lookbacks):
        if lookback is not None:
            since_ms = None
            if lookback.age is not None:
                since_ms = now_ms() - lookback.age.seconds * 1000
            # Files that nobody has read since the start are checked while others are served.
            await log.prepare(log.end_offset - 1)
            first = _first_offset(log, lookback, since_ms)
            await log.prepare(first)
            data = _read(log, first)
            await chain.run(partial(_show, index=index, data=data, first=first, since_ms=since_ms))


def _first_offset(log: ReadableLog, lookback: Lookback, since_ms: int | None) -> int:
    """Where the wanted records begin, or a little before."""
    start, end = log.start_offset, log.end_offset
    if lookback.last or since_ms is None:
        return max(start, end - lookback.last)
    # Records come in the order of their times, but for clocks that went back.
    found = start + bisect_left(
        range(start, end), since_ms, key=lambda offset: _batch(log, offset).first_timestamp_ms
    )
    # Of the batch before, the last records may be young enough.
    return _batch(log, found - 1).base_offset if found > start else found


def _batch(log: ReadableLog, offset: int) -> Batch:
    return next(iter_batches(log.read(offset, 1).records))


def _read(log: ReadableLog, offset: int) -> list[memoryview]:
    """All batches from that offset on."""
    parts: list[memoryview] = []
    end = log.end_offset
    while offset < end:
        portion = log.read(offset, SCAN_BYTES_MAX)
        parts.append(portion.records)
        offset = portion.next_offset
        if sum(map(len, parts)) > LOOKBACK_BYTES_MAX:
            raise _too_much()
    return parts


def _show(
    chain: Chain, *, index: int, data: list[memoryview], first: int, since_ms: int | None
) -> None:
    """Hand the records to the module; in a thread."""
    blocks: list[Block] = []
    size = 0
    for part in data:
        for batch in iter_batches(part):
            block = _wanted(part, batch, first, since_ms)
            size += len(block.body)
            if size > LOOKBACK_BYTES_MAX:
                raise _too_much()
            blocks.append(block)
    chain.look_back(index, joined(blocks))


def _wanted(data: memoryview, batch: Batch, first: int, since_ms: int | None) -> Block:
    block, _ = take_block(open_records(data, batch, limit_bytes=LOOKBACK_BYTES_MAX))
    block = without_first(block, first - batch.base_offset)
    if since_ms is None:
        return block
    since_delta_ms = since_ms - batch.first_timestamp_ms
    return young_records(block, since_delta_ms)


def _too_much() -> ModuleFailed:
    return look_back_failed(
        f"found over {LOOKBACK_BYTES_MAX} bytes of records to look back at, expected at most "
        "that: look back less far"
    )
