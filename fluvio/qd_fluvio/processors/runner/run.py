"""Runs of all partitions, across lost connections, until they end or are asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from qd_fluvio.connecting import connect
from qd_fluvio.errors import ConnectionLost, FluvioError, TopicNotFound
from qd_fluvio.limits import DEFAULT_LIMITS, Limits
from qd_fluvio.processors.errors import BadProcessor, ProcessorError
from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.runner.partition import Counts, PartitionRun, within
from qd_fluvio.processors.runner.settings import RunSettings
from qd_schemas.specs import FluvioSettings

STOP_SECONDS_MAX: Final = 20.0
"""For the batch at hand, its outputs and the checkpoint, once asked to stop."""
RETRY_SECONDS_FIRST: Final = 0.25
RETRY_SECONDS_MAX: Final = 5.0
PARTITIONS_MAX: Final = 256

_log = logging.getLogger(__name__)


async def run_processor(
    cluster: FluvioSettings | str,
    processor: Processor,
    settings: RunSettings,
    stop: asyncio.Event,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_ready: Callable[[], None] = lambda: None,
) -> Counts:
    """Run a processor on topics.

    Each input record is processed at least once. Each output record that has a stamp for a key
    is written once in effect, and so is every other one under ``sole_writer``; other keyed ones
    may be repeated after a crash. The state of each step is that of the input offset from which
    reading goes on.

    Parameters
    ----------
    cluster : FluvioSettings or str
        Where.
    processor : Processor
        What.
    settings : RunSettings
        From where to where, and how.
    stop : asyncio.Event
        Set it to have the batch at hand finished, its checkpoint written, and the run ended.
    limits : Limits
        Deadlines and sizes of the connections.
    on_ready : callable
        Called once, when all partitions are being read.

    Returns
    -------
    Counts
        What was done.

    Raises
    ------
    FluvioError
        The cluster stayed away for longer than ``reconnect_seconds``, a topic is gone, or a
        `ProcessorError` that says what is wrong.
    """
    partitions = await _partitions(cluster, settings, limits)
    waiting = set(partitions)

    def ready(partition: int) -> None:
        if partition in waiting:
            waiting.remove(partition)
            if not waiting:
                on_ready()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    run_partition(cluster, processor, settings, number, stop, limits, ready)
                )
                for number in partitions
            ]
    except* FluvioError as failures:
        raise failures.exceptions[0] from None
    return sum((task.result() for task in tasks), Counts())


async def _partitions(
    cluster: FluvioSettings | str, settings: RunSettings, limits: Limits
) -> tuple[int, ...]:
    only_asking = replace(limits, warm_workers=0)
    async with connect(cluster, limits=only_asking) as fluvio:
        count = (await fluvio.describe_topic(settings.source)).partitions
    wanted = settings.partitions or tuple(range(count))
    if max(wanted) >= count:
        raise TopicNotFound(
            f"partition {max(wanted)} of topic {settings.source!r}; it has 0 to {count - 1}"
        )
    if len(wanted) > PARTITIONS_MAX:
        raise BadProcessor(
            f"{len(wanted)} partitions; at most {PARTITIONS_MAX} in one process: use --partition"
        )
    return wanted


async def run_partition(
    cluster: FluvioSettings | str,
    processor: Processor,
    settings: RunSettings,
    partition: int,
    stop: asyncio.Event,
    limits: Limits,
    ready: Callable[[int], None],
) -> Counts:
    """Run one partition; after a lost connection begin again at its checkpoint."""
    clock = asyncio.get_running_loop().time
    failing_since: float | None = None
    retry_seconds = RETRY_SECONDS_FIRST
    total = Counts()
    while True:
        run: PartitionRun | None = None
        try:
            async with connect(cluster, limits=limits) as fluvio:
                run = PartitionRun(fluvio, processor, settings, partition)
                first = await run.begin()
                _log.info("reading partition %d of %s from %d", partition, settings.source, first)
                ready(partition)
                await run.process(stop)
                return total + run.counts
        except ProcessorError:
            raise
        except FluvioError as error:
            if not error.retriable or stop.is_set():
                raise
            lost = error
        if run is not None and run.counts.read:
            failing_since, retry_seconds = None, RETRY_SECONDS_FIRST
            total += run.counts
        failing_since = clock() if failing_since is None else failing_since
        if clock() + retry_seconds > failing_since + settings.reconnect_seconds:
            raise ConnectionLost(
                f"{settings.processor_id}: the cluster was away for more than "
                f"{settings.reconnect_seconds:g} s: {lost}; run it again, it goes on at its "
                "checkpoint"
            ) from None
        _log.warning("lost the cluster, back in %.2f s: %s", retry_seconds, lost)
        await within(stop.wait(), retry_seconds)
        if stop.is_set():
            _log.warning("stopped without the cluster: the last checkpoint counts")
            return total
        retry_seconds = min(retry_seconds * 2, RETRY_SECONDS_MAX)


async def run_until_cancelled(
    run: Callable[[asyncio.Event], asyncio.Future[Counts]],
) -> Counts:
    """Run something that stops in order when its event is set; cancelling this sets it.

    Raises
    ------
    ProcessorError
        It did not stop within `STOP_SECONDS_MAX`.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    work = run(stop)
    give_up_at: float | None = None
    while not work.done():
        try:
            await asyncio.wait({work}, timeout=give_up_at and give_up_at - loop.time())
        except asyncio.CancelledError:
            stop.set()
        give_up_at = give_up_at or (loop.time() + STOP_SECONDS_MAX if stop.is_set() else None)
        # After a pause both may be so at once: that it stopped, and that its time is over.
        if give_up_at is not None and loop.time() >= give_up_at and not work.done():
            work.cancel()
            await asyncio.wait({work})
            raise ProcessorError(
                f"it did not stop within {STOP_SECONDS_MAX:g} s: the last checkpoint counts"
            ) from (None if work.cancelled() else work.exception())
    return work.result()
