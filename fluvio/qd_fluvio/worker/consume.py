"""The consuming worker: one stream of one partition, shipped to the parent in chunks.

It proves that offsets are contiguous and opens the stream again where they are not. It does
not reconnect: a stream's end and its errors go to the parent, which knows what they mean.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import fluvio

from qd_fluvio.worker import client
from qd_fluvio.worker.contiguous import Contiguous, Step
from qd_fluvio.worker.ends import Ends
from qd_fluvio.worker.frames import Kind, frame, json_frame, records_frame
from qd_fluvio.worker.pipe import Pipe

CHUNK_BYTES = 256 * 1024
# Counted for each record beside its value, so that tiny records are bounded too: 4096 at most.
CHUNK_RECORD_BYTES = 64
LONE_RECORDS_MAX = 32
# A gap is the rest of one batch that was cut; batches are smaller than this.
FILL_BYTES = 2 * 1024 * 1024
TICK_SECONDS = 0.1
STALL_TICKS = 5
CHANNEL = 0
# What the client says of a compressed batch that was cut, by gzip, by snappy and lz4, by zstd.
CUT_TEXTS = frozenset(
    f"Other error: {text}"
    for text in ("unexpected end of file", "failed to fill whole buffer", "incomplete frame")
)
# The client's answer for a record without a key; a key of just these bytes reads as none.
_NO_KEY = frozenset({b"No key", b""})


class SourceRecord(Protocol):
    """One record as the client gives it."""

    def offset(self) -> int:
        """Its offset."""
        ...

    def timestamp(self) -> int:
        """Its milliseconds since the epoch."""
        ...

    def key(self) -> bytes:
        """Its key."""
        ...

    def value(self) -> bytes:
        """Its bytes."""
        ...


class Source(Protocol):
    """A stream as the client gives it: None is its end."""

    def next(self) -> SourceRecord | None:
        """The next record; may wait for ever."""
        ...


@dataclass(slots=True)
class _Chunk:
    """Records with contiguous offsets that were not shipped yet."""

    first_offset: int
    timestamps_ms: list[int]
    keys: list[bytes]
    values: list[bytes]
    room_bytes: int = CHUNK_BYTES

    @classmethod
    def starting(cls, offset: int) -> _Chunk:
        """An empty one."""
        return cls(offset, [], [], [])

    def add(self, record: SourceRecord) -> None:
        """Append a record; this runs for each one, so it does nothing that can wait."""
        value = record.value()
        self.values.append(value)
        self.timestamps_ms.append(record.timestamp())
        self.keys.append(record.key())
        self.room_bytes -= len(value) + CHUNK_RECORD_BYTES

    def frame(self) -> bytes:
        """Its frame for the parent."""
        keys = None
        if not _NO_KEY.issuperset(self.keys):
            keys = [None if key in _NO_KEY else key for key in self.keys]
        return records_frame(CHANNEL, self.first_offset, self.timestamps_ms, keys, self.values)


class Stalled(Exception):
    """A stream brings nothing, though there are records."""


class Pump:
    """Moves records from streams to the parent until a stream ends or offsets are lost.

    Parameters
    ----------
    open_source : callable
        Opens a stream at an offset that fetches so many bytes at once.
    write : callable
        Takes one frame's bytes for the parent.
    fetch_bytes_max : int
        Bytes to fetch at once.
    next_offset, refill_tries_max : int
        See `Contiguous`.
    known_end : int
        Offsets before it exist already, so waiting for them is short. Up to it records travel
        in chunks; after it each one at once, because reading on may wait for ever.
    ask_end : callable
        Gives a newer known end, or None; asked after `LONE_RECORDS_MAX` records that had to
        travel alone.
    """

    def __init__(
        self,
        open_source: Callable[[int, int], Source],
        write: Callable[[bytes], None],
        *,
        fetch_bytes_max: int,
        next_offset: int,
        known_end: int,
        ask_end: Callable[[], int | None],
        refill_tries_max: int,
    ) -> None:
        self._open = open_source
        self._fetch_bytes = fetch_bytes_max
        self._fill_bytes = min(FILL_BYTES, fetch_bytes_max)
        self._write = write
        self._known_end = known_end
        self._ask_end = ask_end
        self._lone_records = 0
        self._offsets = Contiguous(next_offset, refill_tries_max)
        self._chunk = _Chunk.starting(next_offset)
        self._waiting = False
        self._ticked_at = next_offset
        self._idle_ticks = 0

    def run(self) -> None:
        """Read until the end, and say how it came."""
        decided = Step.REFILL
        seen = self._known_end
        while decided is Step.REFILL:
            try:
                decided, seen = self._drain(
                    self._open(self._offsets.next_offset, self._fetch_bytes)
                )
            except Exception as error:
                if not isinstance(error, Stalled) and str(error) not in CUT_TEXTS:
                    raise
                decided, seen = self._offsets.missing(), self._known_end
            finally:
                self._waiting = False
            self._ship()
        if decided is Step.GIVE_UP:
            missing = [self._offsets.next_offset, max(seen, self._offsets.next_offset + 1)]
            self._write(json_frame(Kind.FAILED, CHANNEL, missing=missing))
        else:
            self._write(frame(Kind.ENDED, CHANNEL))

    def tick(self) -> None:
        """Look after a wait in a stream; called every `TICK_SECONDS`, in the middle of it.

        A fetch that was cut leaves nothing behind if no batch follows: then the client waits
        although there are records, and no offset jumps.
        """
        if not self._waiting:
            return
        self._waiting = False  # the parent may read late: to raise now would cut what it gets
        self._ship()
        self._waiting = True
        idle = self._ticked_at == self._offsets.next_offset < self._known_end
        self._idle_ticks = self._idle_ticks + 1 if idle else 0
        self._ticked_at = self._offsets.next_offset
        if self._idle_ticks >= STALL_TICKS:
            self._idle_ticks = 0
            raise Stalled

    def _drain(self, source: Source) -> tuple[Step, int]:
        """Read one stream; why it is of no more use, and the offset at which that showed."""
        while (record := self._take_following(source)) is not None:
            offset = record.offset()
            decided = self._offsets.step(offset)
            if decided is Step.REFILL and self._fill(offset):
                decided = self._offsets.step(offset)
            if decided is Step.TAKE:
                self._take(record, offset)
            elif decided is not Step.SKIP:
                return decided, offset
        return Step.TAKE, self._offsets.next_offset

    def _take_following(self, source: Source) -> SourceRecord | None:
        """Take records that nothing is to be decided about; the first other one, or None.

        Nearly all are, and what is done for each of them is what limits the rate.
        """
        offsets, known_end = self._offsets, self._known_end
        while True:
            self._waiting = True
            record = source.next()
            self._waiting = False
            if record is None:
                return None
            offset = record.offset()
            if offset != offsets.next_offset or offset + 1 >= known_end:
                return record
            offsets.advance()
            chunk = self._chunk  # another one if a tick shipped the last
            chunk.add(record)
            if chunk.room_bytes <= 0:
                self._ship()

    def _fill(self, until: int) -> bool:
        """Fetch the missing offsets before `until` by the way; whether all came.

        The stream that jumped has its next records already: to leave it for a gap of some
        records would fetch everything twice.
        """
        source = self._open(self._offsets.next_offset, self._fill_bytes)
        while self._offsets.next_offset < until:
            record = self._next(source)
            if record is None:
                return False
            decided = self._offsets.step(record.offset())
            if decided is Step.TAKE:
                self._take(record, record.offset())
            elif decided is not Step.SKIP:
                return False
        return True

    def _next(self, source: Source) -> SourceRecord | None:
        self._waiting = True
        record = source.next()
        self._waiting = False
        return record

    def _take(self, record: SourceRecord, offset: int) -> None:
        self._chunk.add(record)
        if offset + 1 >= self._known_end:
            self._ship_at_end()
        elif self._chunk.room_bytes <= 0:
            self._ship()

    def _ship_at_end(self) -> None:
        """Ship, because this may be the last record; now and then see whether it is."""
        self._lone_records += 1
        self._ship()
        if self._lone_records >= LONE_RECORDS_MAX:
            self._lone_records = 0
            self._known_end = self._ask_end() or self._known_end

    def _ship(self) -> None:
        if self._chunk.values:
            chunk, self._chunk = self._chunk, _Chunk.starting(self._offsets.next_offset)
            self._write(chunk.frame())
        else:
            self._chunk.first_offset = self._offsets.next_offset


def run(pipe: Pipe, call: dict[str, Any]) -> None:
    """Serve one consumer until its stream ends."""
    try:
        connected = client.connect(call["endpoint"], call["tls"], inside=call["inside"])

        def open_source(offset: int, fetch_bytes_max: int) -> Source:
            return client.open_stream(
                connected,
                call["topic"],
                call["partition"],
                fluvio.Offset.absolute(offset),
                fetch_bytes_max=fetch_bytes_max,
            )

        pump = Pump(
            open_source,
            pipe.write,
            fetch_bytes_max=call["fetch_bytes_max"],
            next_offset=call["offset"],
            known_end=call["known_end"],
            ask_end=Ends(**call["ends"]).ask,
            refill_tries_max=call["refill_tries_max"],
        )
        # The client looks after Python's signals ten times a second while a stream waits.
        signal.signal(signal.SIGALRM, lambda *_: pump.tick())
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        pump.run()
    except BaseException as error:  # a panic of the client is no Exception
        pipe.fail(CHANNEL, error)
    pipe.read()  # nothing more is asked of this worker: wait until the parent closes
