"""Runs the streams: one task each, whose end is reported whatever happens inside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice

from qd_fluvio import FluvioError, TopicNotFound
from qd_fluvio.logs import FieldLogger, field_logger
from qd_gateway.core.actions import Channel
from qd_gateway.core.limits import STREAMS_STOP_SECONDS_MAX
from qd_gateway.core.plans import Refusal, StreamPlan
from qd_gateway.errors import SinkLost, StreamRefused
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.streams.database import Database
from qd_gateway.streams.grants import Grants
from qd_gateway.streams.reader import RowReader
from qd_gateway.streams.stream import Stream
from qd_gateway.streams.turns import Turns
from qd_gateway.topics.channel import ClientChannel
from qd_schemas.enums import DataErrorType, EndReason, Reason
from qd_schemas.errors import EncodeError
from qd_schemas.wire import NO_STREAM

_log = field_logger("qd_gateway.streams.stream")

Ended = Callable[[int, Refusal | None], None]


class StreamRunner:
    """All running streams.

    Parameters
    ----------
    database : Database
        Where the rows come from.
    on_ended : callable
        Called once for each stream that was started, with its ticket and what its client
        must be told, if anything.
    metrics : GatewayMetrics
        Told of what streams do.
    """

    def __init__(
        self, database: Database, on_ended: Ended, metrics: GatewayMetrics | None = None
    ) -> None:
        self._database = database
        self._on_ended = on_ended
        self._metrics = metrics or GatewayMetrics()
        self._grants = Grants(Turns())
        self._beat = asyncio.Lock()
        self._streams: dict[int, tuple[Stream, asyncio.Task[Refusal | None]]] = {}
        self._closed = False

    def start(self, plan: StreamPlan, channel: ClientChannel) -> None:
        """Start a stream's task, unless all streams are being stopped."""
        if self._closed:
            return
        stream = Stream(plan, time.monotonic, self._beat, self._metrics)
        stream_id = "-" if plan.stream_id == NO_STREAM else plan.stream_id
        log = _log.bind(**(channel.log.extra or {}), stream=stream_id, ticket=plan.ticket)
        log.bind(**_fields(plan)).info("started")
        started_at = time.monotonic()
        task = asyncio.create_task(self._run(log, stream, channel), name=f"stream-{plan.ticket}")
        self._streams[plan.ticket] = (stream, task)
        # A callback, because a task that is cancelled before it begins runs none of its code.
        task.add_done_callback(lambda done: self._finish(done, log, stream, started_at))

    def stop(self, ticket: int, reason: EndReason) -> None:
        """End a stream soon, with its Last… message, which says why."""
        if ticket in self._streams:
            self._streams[ticket][0].stop(reason)

    def advance(self, ticket: int, sequence: int) -> None:
        """A stream's client has taken all its rows before that number."""
        if ticket in self._streams:
            self._streams[ticket][0].advance(sequence)

    def abort(self, ticket: int) -> None:
        """End a stream at once."""
        if ticket in self._streams:
            self._streams[ticket][1].cancel()

    def sent(self, most: int) -> dict[int, int]:
        """The rows that streams have sent, by ticket: of so many, all in their turn."""
        told = list(islice(self._streams, most))
        for ticket in told:
            self._streams[ticket] = self._streams.pop(ticket)
        return {ticket: self._streams[ticket][0].totals.rows for ticket in told}

    async def aclose(self) -> None:
        """Stop all streams and wait until their tasks have ended."""
        self._closed = True
        tasks = [task for _, task in self._streams.values()]
        for stream, _ in self._streams.values():
            stream.stop(EndReason.INTERRUPTED)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STREAMS_STOP_SECONDS_MAX)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _finish(
        self,
        task: asyncio.Task[Refusal | None],
        log: FieldLogger,
        stream: Stream,
        started_at: float,
    ) -> None:
        """Log what a stream did and report its end."""
        refusal = None if task.cancelled() else task.result()
        totals, seconds = stream.totals, max(time.monotonic() - started_at, 1e-9)
        log.info(
            "ended",
            outcome=_outcome(task, totals.reason),
            rows=totals.rows,
            records=totals.records,
            bytes=totals.octets,
            seconds=round(seconds, 3),
            rows_per_second=round(totals.rows / seconds),
        )
        self._metrics.stream_ended(_outcome(task, totals.reason))
        del self._streams[stream.plan.ticket]
        self._on_ended(stream.plan.ticket, refusal)

    async def _run(
        self, log: FieldLogger, stream: Stream, channel: ClientChannel
    ) -> Refusal | None:
        """Run a stream; each failure becomes what its client is told."""
        try:
            await self._send(stream, channel)
        except StreamRefused as error:
            log.warning("refused: %s", error)
            return error.refusal
        except EncodeError as error:
            log.error("cannot be encoded: %s", error)
            return Refusal(DataErrorType.ENCODING_FAILED, Reason.NOT_ENCODABLE)
        except TopicNotFound as error:
            log.warning("has no topic: %s", error)
            return None  # the session ends with it
        except (FluvioError, SinkLost) as error:
            log.warning("could not be sent: %s", error)
            return Refusal(DataErrorType.SEND_FAILED, Reason.NOT_SENT)
        except Exception:
            # A defect must cost one stream, not the service.
            log.exception("failed by a defect")
            return Refusal(DataErrorType.UNKNOWN, Reason.DEFECT)
        return None

    async def _send(self, stream: Stream, channel: ClientChannel) -> None:
        producer = await channel.producer(Channel.DATA)
        reader = RowReader(stream.plan, self._database, self._grants, self._metrics, time.monotonic)
        try:
            await stream.run(reader, producer)
        except FluvioError as error:
            await channel.drop(Channel.DATA, producer)
            if isinstance(error, TopicNotFound):
                # Raises again, and ends the session, where the client is gone for good.
                await channel.producer(Channel.DATA)
                raise SinkLost(str(error)) from error
            raise


def _outcome(task: asyncio.Task[Refusal | None], reason: EndReason) -> str:
    if task.cancelled():
        return "aborted"
    refusal = task.result()
    return (reason if refusal is None else refusal.reason).name.lower()


def _fields(plan: StreamPlan) -> dict[str, object]:
    return {
        "version": plan.version,
        "exchange": plan.exchange_id,
        "symbol": plan.symbol_id,
        "data": plan.data_type.name,
        "resolution": plan.resolution.label,
        "first": plan.first_sequence,
        "start": plan.start_time,
        "end": plan.end_time,
        "pace": plan.pace,
    }
