"""Processors on topics, with both clients: what comes out, what is remembered, what fails."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from qd_fluvio import Fluvio, TopicNotFound, TopicSettings
from qd_fluvio import processors as p
from qd_fluvio.processors.checkpoint import PART_BYTES
from qd_fluvio.processors.runner import Counts, run_processor
from qd_schemas.specs import FluvioSettings
from support.layer import BOTH_CLIENTS
from support.process_runs import Bench, open_bench
from support.processors import (
    RECORD_PROCESSORS,
    counted,
    halved,
    json_values,
    keyed,
    spread,
    summed,
)

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS)


@pytest.fixture
async def bench(cluster: FluvioSettings, fluvio: Fluvio, topic: str) -> AsyncIterator[Bench]:
    found = await open_bench(cluster, fluvio, topic)
    yield found
    await found.clear()


def values_of(*numbers: int) -> list[bytes]:
    return [json.dumps({"x": number, "t": number * 1_000_000}).encode() for number in numbers]


async def test_records_are_processed_and_failing_ones_set_apart(bench: Bench) -> None:
    await bench.put(values_of(1, 0, 3), keys=[b"one", b"nought", None])
    counts = await bench.run(halved)
    assert (counts.read, counts.written, counts.repeated) == (3, 3, 0)
    assert [json.loads(value)["half"] for value in await bench.out()] == [12, 4]
    (letter,) = await bench.letters()
    said = p.read_letter(letter)
    assert letter.value == values_of(0)[0]
    assert said.pop("timestamp_ms") == (await bench.records(bench.name))[1].timestamp_ms
    assert said == {
        "processor": bench.name,
        "step": "halved",
        "reason": "ZeroDivisionError: division by zero",
        "topic": bench.name,
        "partition": 0,
        "offset": 1,
        "key": "bm91Z2h0",
    }


async def test_keys_stay_and_records_without_get_a_stamp(bench: Bench) -> None:
    await bench.put(values_of(1, 2), keys=[b"mine", None])
    await bench.run(halved)
    first, second = await bench.held(f"{bench.name}-out")
    assert first[0] == b"mine"
    source = p.Source(bench.name, bench.name, 0)
    assert p.read_stamp(second[0]) == (source, p.Place(1, 0))


@pytest.mark.parametrize("name", ["window", "chain"])
async def test_the_next_run_goes_on_where_one_ended(bench: Bench, name: str) -> None:
    processor = RECORD_PROCESSORS[name]
    for start in range(0, 60, 20):
        await bench.put(json_values()[start : start + 20])
        await bench.run(processor)
    expected = await bench.expected(processor)
    assert {topic: await bench.held(topic) for topic in expected} == expected
    (committed,) = await bench.fluvio.committed_offsets(consumer_id=bench.name)
    assert committed.offset == 59


async def test_a_first_run_starts_at_the_end_unless_told_otherwise(bench: Bench) -> None:
    await bench.put(values_of(1, 2))
    later = bench.with_(from_beginning=False)
    assert (await bench.run(halved, later)).read == 0
    await bench.put(values_of(3))
    assert (await bench.run(halved, later)).read == 1


async def test_what_is_open_is_given_out_only_when_the_input_is_over(bench: Bench) -> None:
    await bench.put(values_of(1, 2, 3))
    await bench.run(counted)
    assert await bench.fluvio.end_offset(bench.name) == 3
    names = {found.name for found in await bench.fluvio.topics()}
    assert f"{bench.name}-out" not in names  # nothing was to be written
    await bench.run(counted, bench.with_(finish=True))
    expected = await bench.expected(counted, finish=True)
    assert await bench.held(f"{bench.name}-out") == expected[f"{bench.name}-out"]
    assert (await bench.run(counted, bench.with_(finish=True))).written == 0


async def test_each_partition_has_its_state_and_keeps_its_order(
    cluster: FluvioSettings, fluvio: Fluvio, topic: str
) -> None:
    bench = Bench(cluster, fluvio, topic)
    await bench.open(partitions=3)
    for partition in range(3):
        await bench.put(values_of(3 + 3 * partition, 3, 3), partition)
    await bench.run(summed)
    for partition in range(3):
        sums = [json.loads(value)["value"]["sum"] for value in await bench.out(partition)]
        assert sums == [3 + 3 * partition, 6 + 3 * partition, 9 + 3 * partition]
    await bench.clear()


async def test_only_the_named_partitions_are_read(
    cluster: FluvioSettings, fluvio: Fluvio, topic: str
) -> None:
    bench = Bench(cluster, fluvio, topic)
    await bench.open(partitions=2)
    for partition in range(2):
        await bench.put(values_of(partition + 1), partition)
    assert (await bench.run(halved, bench.with_(partitions=(1,)))).read == 1
    assert len(await bench.out(1)) == 1
    with pytest.raises(TopicNotFound, match=r"partition 5 .* has 0 to 1"):
        await bench.run(halved, bench.with_(partitions=(5,)))
    await bench.clear()


async def test_records_are_dispatched_to_topics_that_are_made(bench: Bench) -> None:
    bench.others = [f"topic-{number}" for number in (1, 2, 3)]
    await bench.put(values_of(1, 2, 4, 3, 1))
    await bench.run(spread)
    assert await bench.out() == values_of(4)
    for number, expected in ((1, (1, 1)), (2, (2,)), (3, (3,))):
        held = await bench.held(f"topic-{number}")
        assert [value for _, value in held] == values_of(*expected)


async def test_nothing_is_written_to_what_is_read(bench: Bench) -> None:
    back = p.dispatch(p.JSON)(lambda value: [bench.name, f"{bench.name}-dead-letters"])
    await bench.put(values_of(1))
    await bench.run(back)
    assert len(await bench.records(bench.name)) == 1
    reasons = [p.read_letter(letter)["reason"] for letter in await bench.letters()]
    assert [str(reason).partition(": ")[2] for reason in reasons] == [
        "the input, or the dead letters"
    ] * 2


async def test_a_sole_writer_leaves_keys_alone(bench: Bench) -> None:
    await bench.put(values_of(4, 5))
    await bench.run(keyed, bench.with_(sole_writer=True))
    assert await bench.held(f"{bench.name}-out") == [(b"0", b"4"), (b"1", b"5")]


async def test_a_sole_writer_needs_a_partition_for_each_it_reads(
    cluster: FluvioSettings, fluvio: Fluvio, topic: str
) -> None:
    bench = Bench(cluster, fluvio, topic)
    await bench.open(partitions=2)
    await fluvio.create_topic(f"{topic}-out", TopicSettings(1))
    await bench.put(values_of(1))
    with pytest.raises(p.NotAlone, match="1 partitions for the input's 2"):
        await bench.run(keyed, bench.with_(sole_writer=True))
    await bench.clear()


async def test_a_state_larger_than_a_record_is_kept(bench: Bench) -> None:
    @p.aggregate(p.BYTES, initial=b"", result=lambda key, state: len(state))
    def all_bytes(state: bytes, value: bytes) -> bytes:
        return state + value

    for _ in range(3):
        await bench.put([b"x" * 500_000])
        await bench.run(all_bytes)
    assert await bench.out() == [b"500000", b"1000000", b"1500000"]
    largest = max(len(record.value) for record in await bench.records(f"{bench.name}-state"))
    assert PART_BYTES < largest < PART_BYTES + 100


async def test_a_result_too_large_for_a_record_is_a_dead_letter(bench: Bench) -> None:
    @p.map(p.BYTES)
    def grown(value: bytes) -> bytes:
        return value * 100

    await bench.put([b"x" * 10, b"y" * 500_000, b"z" * 989_000, b"x"])
    await bench.run(grown)
    assert [len(value) for value in await bench.out()] == [1000, 100]
    letters = await bench.letters()
    assert [len(letter.value) for letter in letters] == [0, 0]  # results do not fit here either
    said = [p.read_letter(letter) for letter in letters]
    assert [(each["offset"], each["left_out_bytes"]) for each in said] == [
        (1, 50_000_000),
        (2, 98_900_000),
    ]


async def test_the_state_of_another_processor_is_refused(bench: Bench) -> None:
    await bench.put(values_of(1))
    await bench.run(halved)
    with pytest.raises(p.StateUnusable, match="steps halved, but its steps are summed"):
        await bench.run(summed)


async def test_a_topic_that_holds_no_states_is_refused(bench: Bench) -> None:
    await bench.put(values_of(1))
    await bench.fluvio.create_topic(f"{bench.name}-state")
    producer = await bench.fluvio.producer(f"{bench.name}-state")
    await producer.send(b"something else")
    await producer.aclose()
    with pytest.raises(p.StateUnusable, match="no part of a checkpoint"):
        await bench.run(halved)


async def test_an_input_that_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(TopicNotFound, match="nowhere"):
        await bench.run(halved, bench.with_(source="nowhere"))


async def test_two_runs_of_one_name_never_go_on_together(bench: Bench) -> None:
    # Which of them notices, and whether at its start or when it saves, is the clock's choice; both
    # may, if they save in the same moment.
    await bench.put(values_of(1))
    forever = bench.with_(once=False, checkpoint_seconds=0.0)
    ready, stop = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(
        run_processor(bench.cluster, halved, forever, stop, on_ready=ready.set)
    )
    await ready.wait()
    second = asyncio.create_task(run_processor(bench.cluster, halved, forever, stop))
    done: set[asyncio.Task[Counts]] = set()
    while not done:
        await bench.put(values_of(2))
        # Seldom enough for the second to see an end that stays, and begin.
        done, _ = await asyncio.wait({first, second}, timeout=1.0, return_when="FIRST_COMPLETED")
    stop.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    ended = [found for found in results if isinstance(found, p.TakenOver)]
    assert ended
    assert all(re.search("another process (runs|writes)", str(found)) for found in ended)
    assert all(isinstance(found, Counts) for found in results if found not in ended)


async def test_stopping_finishes_what_is_at_hand(bench: Bench) -> None:
    stop = asyncio.Event()
    seen: list[int] = []

    @p.map(p.JSON)
    def stopping(value: Any) -> Any:
        seen.append(value["x"])
        if value["x"] == 50:
            stop.set()
        return value

    await bench.put(values_of(*range(100)))
    counts = await run_processor(
        bench.cluster, stopping, bench.with_(once=False), stop, limits=bench.limits
    )
    assert 50 < counts.read == len(seen) == len(await bench.out()) < 100
    rest = await bench.run(stopping)
    assert rest.read == 100 - counts.read
    assert rest.repeated == 0
    assert await bench.out() == [
        json.dumps(json.loads(value), separators=(",", ":")).encode()
        for value in values_of(*range(100))
    ]
