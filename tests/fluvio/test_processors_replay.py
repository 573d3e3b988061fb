"""Whatever the batches are and whenever a run is killed, the topics hold the same in the end.

The runner's order of things is played here without a cluster: topics are lists, and a run may
end before any write. The real one is killed in `test_processors_kill.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_fluvio import Record
from qd_fluvio.processors import Processor, Source
from qd_fluvio.processors.checkpoint import Checkpoint, Written, decode, encode
from qd_fluvio.processors.errors import NotAlone
from qd_fluvio.processors.pipeline import Pipeline
from qd_fluvio.processors.repeats import Tail
from support.processors import (
    RECORD_PROCESSORS,
    ROW_PROCESSORS,
    even,
    json_values,
    keyed,
    mixed_values,
    records_of,
)

SOURCE = Source("id", "in", 0)
STRANGER = (b"qd/other/in/0/9/9", b"stranger")
CASES = [
    *((f"records: {name}", each, json_values()) for name, each in RECORD_PROCESSORS.items()),
    *((f"rows: {name}", each, mixed_values()) for name, each in ROW_PROCESSORS.items()),
]
case = pytest.mark.parametrize(
    ("processor", "values"), [each[1:] for each in CASES], ids=[each[0] for each in CASES]
)

T = TypeVar("T")
Topics = dict[str, list[tuple[bytes | None, bytes]]]


class Killed(Exception):
    """The run ends here."""


@dataclass
class World:
    """What survives a run, and how many more writes there will be."""

    topics: Topics = field(default_factory=dict)
    checkpoint: bytes | None = None
    writes_left: int | None = None

    def count_down(self) -> None:
        if self.writes_left == 0:
            raise Killed
        if self.writes_left is not None:
            self.writes_left -= 1

    def write(self, topic: str, key: bytes | None, value: bytes) -> None:
        self.count_down()
        self.topics.setdefault(topic, []).append((key, value))

    def save(self, checkpoint: Checkpoint) -> Checkpoint:
        self.count_down()
        self.checkpoint = encode(checkpoint)
        return checkpoint


@dataclass
class Plan:
    """How a run cuts its input, and when it writes checkpoints and others write beside it."""

    sizes: Iterator[int]
    saves: Iterator[bool]
    strangers: Iterator[bool]


def live(
    world: World, processor: Processor, records: Sequence[Record], plan: Plan, *, sole: bool
) -> None:
    """One life of a run: what `runner.partition` does, in its order."""
    pipeline = Pipeline(SOURCE, processor, to="out", dead_letters="dead", stamp=not sole)
    names = pipeline.work.names
    checkpoint = Checkpoint(SOURCE, names, 0, states=pipeline.work.snapshot())
    if world.checkpoint is not None:
        checkpoint = decode(world.checkpoint)
        pipeline.work.restore(checkpoint.states, checkpoint.last)
    tails = {
        topic: tail_of(world, topic, before, sole=sole)
        for topic, before in checkpoint.written.items()
    }
    at = checkpoint.next_offset
    while at < len(records):
        batch = records[at : at + next(plan.sizes)]
        for output in pipeline.feed(batch):
            if output.topic not in tails:
                before = Written(len(world.topics.get(output.topic, [])))
                tails[output.topic] = tail_of(world, output.topic, before, sole=sole)
                written = {**checkpoint.written, output.topic: before}
                checkpoint = world.save(replace(checkpoint, written=written))
            if tails[output.topic].is_new(output):
                world.write(output.topic, output.key, output.value)
            if not sole and next(plan.strangers):
                world.topics.setdefault(output.topic, []).append(
                    (b"qd/other/in/0/9/9", b"stranger")
                )
        at += len(batch)
        if next(plan.saves):
            checkpoint = world.save(
                replace(
                    checkpoint,
                    next_offset=at,
                    last=pipeline.work.last,
                    states=pipeline.work.snapshot(),
                    written={topic: tail.state() for topic, tail in tails.items()},
                )
            )


def tail_of(world: World, topic: str, before: Written, *, sole: bool) -> Tail:
    held = world.topics.get(topic, [])
    tail = Tail(topic, SOURCE, before, len(held), counts=sole and topic != "dead")
    for offset, (key, value) in enumerate(held[tail.start :], tail.start):
        tail.saw(Record(offset, 0, key, value))
    return tail


def forever(draw: Callable[[], T]) -> Iterator[T]:
    while True:
        yield draw()


def undisturbed(processor: Processor, records: Sequence[Record], *, sole: bool) -> Topics:
    """What one run makes of one batch."""
    world = World()
    plan = Plan(iter([len(records)]), iter([True]), forever(lambda: False))
    live(world, processor, records, plan, sole=sole)
    return world.topics


def ours(topics: Topics) -> Topics:
    return {
        topic: [(key, value) for key, value in held if value != b"stranger"]
        for topic, held in topics.items()
    }


@case
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_batches_and_any_kills_give_the_same(
    processor: Processor, values: list[bytes], data: st.DataObject
) -> None:
    records = records_of(values)
    sole = processor is keyed or data.draw(st.booleans(), "sole writer")
    expected = undisturbed(processor, records, sole=sole)
    random = data.draw(st.randoms(use_true_random=False))
    largest = data.draw(st.sampled_from([1, 3, 10, len(records)]), "largest batch")
    plan = Plan(
        forever(lambda: random.randint(1, largest)),
        forever(lambda: random.random() < 0.3),
        forever(lambda: random.random() < 0.1),
    )
    world = World()
    for writes in data.draw(st.lists(st.integers(0, 40), max_size=8), "writes until killed"):
        world.writes_left = writes
        try:
            live(world, processor, records, plan, sole=sole)
        except Killed:
            continue
        break
    world.writes_left = None
    live(world, processor, records, plan, sole=sole)
    assert ours(world.topics) == expected


@case
def test_a_restart_after_each_record_changes_nothing(
    processor: Processor, values: list[bytes]
) -> None:
    records = records_of(values)
    world = World()
    for end in range(1, len(records) + 1):
        plan = Plan(forever(lambda: 1), forever(lambda: True), forever(lambda: False))
        live(world, processor, records[:end], plan, sole=processor is keyed)
    assert world.topics == undisturbed(processor, records, sole=processor is keyed)


def test_every_case_has_outputs_and_there_are_dead_letters() -> None:
    letters = 0
    for _, processor, values in CASES:
        topics = undisturbed(processor, records_of(values), sole=False)
        assert any(held for topic, held in topics.items() if topic != "dead")
        letters += len(topics.get("dead", []))
    assert letters > len(CASES)


def test_keyed_records_are_at_least_once_beside_other_writers() -> None:
    records = records_of([b'{"x": 1}', b'{"x": 2}'])
    world = World(writes_left=3)  # the topic in a checkpoint, two records, but no checkpoint
    plan = Plan(forever(lambda: 1), forever(lambda: True), forever(lambda: False))
    with pytest.raises(Killed):
        live(world, keyed, records, plan, sole=False)
    world.writes_left = None
    live(world, keyed, records, plan, sole=False)
    written = [value for _, value in world.topics["out"]]
    assert sorted(set(written)) == [b"1", b"2"]


def test_another_writer_is_found_out() -> None:
    records = records_of([b'{"x": 2}', b'{"x": 4}'])
    world = World(writes_left=2)
    plan = Plan(forever(lambda: 2), forever(lambda: True), forever(lambda: False))
    with pytest.raises(Killed):
        live(world, even, records, plan, sole=True)
    world.writes_left = None
    world.topics["out"] = [(None, b"of somebody else")]
    with pytest.raises(NotAlone, match="without --sole-writer"):
        live(world, even, records, plan, sole=True)
