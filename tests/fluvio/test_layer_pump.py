"""The consuming worker's reading: gaps refilled, repeats dropped, chunks shipped in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from qd_fluvio.worker.consume import LONE_RECORDS_MAX, STALL_TICKS, Pump
from qd_fluvio.worker.frames import Frame, FrameDecoder, Kind, read_records

TRIES = 2


class ScriptedRecord:
    """A record whose value is its offset."""

    def __init__(self, offset: int, key: bytes = b"No key") -> None:
        self._offset = offset
        self._key = key

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> int:
        return 1000 + self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return str(self._offset).encode()


class Stall(list[int]):
    """Offsets after which a stream brings nothing more, without an end."""


class Cut(list[int]):
    """Offsets after which a stream fails, because a compressed batch was cut."""

    def __init__(self, offsets: Iterable[int] = (), words: str = "incomplete frame") -> None:
        super().__init__(offsets)
        self.words = words


class ScriptedStream:
    def __init__(
        self, offsets: Iterable[int], key: bytes, tick: Callable[[], None], *, waits: int = 0
    ) -> None:
        self._offsets: Iterator[int] = iter(offsets)
        self._waits = waits
        self._stalls = isinstance(offsets, Stall)
        self._words = offsets.words if isinstance(offsets, Cut) else None
        self._key = key
        self._tick = tick

    def next(self) -> ScriptedRecord | None:
        offset = next(self._offsets, None)
        while offset is None and self._stalls:
            self._tick()  # as a signal does while the client waits
        for _ in range(self._waits if offset is None else 0):
            self._tick()
        if offset is None and self._words is not None:
            raise Exception(f"Other error: {self._words}")  # as the client does
        return None if offset is None else ScriptedRecord(offset, self._key)


class Run:
    """A pump over scripted streams: what it opened and what it shipped."""

    def __init__(
        self,
        streams: Sequence[Iterable[int]],
        *,
        start: int = 0,
        known_end: int = 1_000_000,
        key: bytes = b"No key",
        ask_end: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.opened: list[int] = []
        self.frames: list[Frame] = []
        self._streams = list(streams)
        self._key = key
        self._pump = Pump(
            self._open,
            self._write,
            fetch_bytes_max=1000,
            next_offset=start,
            known_end=known_end,
            ask_end=ask_end,
            refill_tries_max=TRIES,
        )
        self._pump.run()

    def _open(self, offset: int, fetch_bytes_max: int) -> ScriptedStream:
        self.opened.append(offset)
        return ScriptedStream(self._streams.pop(0), self._key, self._pump.tick)

    def _write(self, data: bytes) -> None:
        self.frames.extend(FrameDecoder().feed(data))

    @property
    def sizes(self) -> list[int]:
        return [len(read_records(f.body).values) for f in self.frames if f.kind is Kind.RECORDS]

    @property
    def offsets(self) -> list[int]:
        found: list[int] = []
        for shipped in self.frames:
            if shipped.kind is Kind.RECORDS:
                records = read_records(shipped.body)
                assert records.first_offset == int(records.values[0])
                found += map(int, records.values)
        return found


@pytest.mark.parametrize(
    ("streams", "opened", "offsets"),
    [
        pytest.param([range(5)], [0], 5, id="no gap"),
        pytest.param([[0, 1, 5, 6], range(2, 9)], [0, 2], 7, id="a cut batch"),
        pytest.param([[0, 3, 6, 7], [1, 2], [4, 5]], [0, 1, 4], 8, id="two cut batches"),
        pytest.param([[0, 3], [1], range(2, 5)], [0, 1, 2], 5, id="a refill that ends early"),
        pytest.param([[3], range(4)], [0, 0], 4, id="a gap at the start"),
        pytest.param([[0, 4], [1, 4], range(2, 5)], [0, 1, 2], 5, id="cut again while refilling"),
        pytest.param([[0, 0, 1, 0, 1, 2]], [0], 3, id="repeats"),
        pytest.param([[0, 9], [9], range(1, 3)], [0, 1, 1], 3, id="nothing at first"),
        pytest.param([[]], [0], 0, id="an empty stream"),
        pytest.param([Stall([0, 1]), range(1, 9)], [0, 2], 9, id="the last batch is cut"),
        pytest.param([Stall([]), range(3)], [0, 0], 3, id="nothing comes at first"),
        pytest.param([Cut([0, 1]), Cut([2]), range(3, 9)], [0, 2, 3], 9, id="compressed and cut"),
        pytest.param([[0, 3], Cut([1]), range(2, 5)], [0, 1, 2], 5, id="a refill that is cut"),
    ],
)
def test_offsets_are_contiguous(
    streams: Sequence[Iterable[int]], opened: list[int], offsets: int
) -> None:
    run = Run(streams)
    assert run.offsets == list(range(offsets))
    assert run.opened == opened
    assert run.frames[-1].kind is Kind.ENDED


def test_missing_offsets_are_named_in_the_end() -> None:
    run = Run([[0, 7]] + [[7]] * TRIES)
    assert run.offsets == [0]
    assert run.frames[-1].kind is Kind.FAILED
    assert run.frames[-1].json() == {"missing": [1, 7]}
    assert len(run.opened) == TRIES + 1


def test_a_stream_that_stalls_again_and_again_is_given_up() -> None:
    run = Run([Stall([0, 1])] + [Stall([])] * TRIES, known_end=5)
    assert run.offsets == [0, 1]
    assert run.frames[-1].json() == {"missing": [2, 5]}


def test_a_compressed_batch_that_never_comes_whole_is_given_up() -> None:
    run = Run([Cut([0, 1])] + [Cut()] * TRIES, known_end=1)
    assert run.offsets == [0, 1]
    assert run.frames[-1].json() == {"missing": [2, 3]}


def test_other_errors_are_passed_on() -> None:
    with pytest.raises(Exception, match="the topic was deleted"):
        Run([Cut([0], words="the topic was deleted")])


def test_records_do_not_wait_in_the_worker_while_a_stream_stalls() -> None:
    run = Run([Stall([0, 1]), range(2, 5)], known_end=5)
    assert run.sizes == [2, 3]


def test_refills_that_bring_something_may_go_on_for_ever() -> None:
    gaps = [[n, 100] for n in range(50)]
    run = Run([*gaps, range(50, 101)])
    assert run.offsets == list(range(101))


def test_records_that_exist_travel_in_chunks() -> None:
    assert Run([range(100)], known_end=100).sizes == [100]


def test_records_that_may_be_the_last_travel_at_once() -> None:
    assert Run([range(10)], known_end=4).sizes == [4, 1, 1, 1, 1, 1, 1]


def test_the_end_is_asked_for_after_many_lone_records() -> None:
    sizes = Run([range(100)], known_end=0, ask_end=lambda: 100).sizes
    assert sizes == [*[1] * LONE_RECORDS_MAX, 100 - LONE_RECORDS_MAX]


@pytest.mark.parametrize(
    ("given", "read"), [(b"No key", None), (b"", None), (b"k", b"k"), (b"no key", b"no key")]
)
def test_keys(given: bytes, read: bytes | None) -> None:
    (shipped, _) = Run([[0]], key=given).frames
    assert read_records(shipped.body).keys == [read]


def test_a_parent_that_does_not_read_for_long_gets_whole_frames() -> None:
    """A signal that comes while a frame is written must not leave half of it behind."""
    whole: list[bytes] = []

    def write(data: bytes) -> None:
        for _ in range(2 * STALL_TICKS):  # as a signal does in the middle of a write
            pump.tick()
        whole.append(data)

    def open_stream(offset: int, _: int) -> ScriptedStream:
        # The stream waits twice, once with records in hand, and then ends.
        return ScriptedStream(range(offset, 3), b"No key", pump.tick, waits=2)

    pump = Pump(
        open_stream,
        write,
        fetch_bytes_max=1000,
        next_offset=0,
        known_end=1_000,
        ask_end=lambda: None,
        refill_tries_max=TRIES,
    )
    pump.run()
    frames = [one for data in whole for one in FrameDecoder().feed(data)]
    assert [one.kind for one in frames] == [Kind.RECORDS, Kind.ENDED]
    assert len(read_records(frames[0].body).values) == 3
