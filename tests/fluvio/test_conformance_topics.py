"""Both clients: topics made usable, described, deleted; every refusal typed."""

from __future__ import annotations

import pytest

from qd_fluvio import (
    Compression,
    Deduplication,
    Fluvio,
    FluvioError,
    InvalidTopicName,
    PartitionInfo,
    TopicExists,
    TopicInfo,
    TopicNotFound,
    TopicSettings,
)
from support.layer import BOTH_CLIENTS, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)


async def test_a_new_topic_is_usable_at_once(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    producer = await fluvio.producer(topic)
    consumer = await fluvio.consumer(topic)
    await producer.send(b"first")
    await producer.flush()
    assert (await anext(consumer)).value == b"first"


async def test_every_partition_of_a_new_topic_is_usable(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic, TopicSettings(partitions=3))
    for partition in range(3):
        producer = await fluvio.producer(topic, partition=partition)
        await producer.send_many([b"a", b"b", b"c"][partition:])
        await producer.flush()
    assert [await fluvio.end_offset(topic, n) for n in range(3)] == [3, 2, 1]
    consumer = await fluvio.consumer(topic, partition=2)
    assert (await anext(consumer)).value == b"c"


async def test_settings_are_told_back(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(
        topic,
        TopicSettings(
            partitions=2,
            retention_s=3600,
            segment_bytes=2_000_000,
            max_partition_bytes=9_000_000,
            compression=Compression.LZ4,
        ),
    )
    expected = TopicInfo(
        name=topic,
        partitions=2,
        replication=1,
        retention_s=3600,
        segment_bytes=2_000_000,
        max_partition_bytes=9_000_000,
        compression=Compression.LZ4,
    )
    assert await fluvio.describe_topic(topic) == expected
    assert expected in await fluvio.topics()


async def test_many_partitions_cost_a_few_questions(fluvio: Fluvio, topic: str) -> None:
    """One by one they would take longer than the deadline of a call."""
    await fluvio.create_topic(topic, TopicSettings(partitions=300))
    assert len(await fluvio.partitions(topic)) == 300


async def test_partitions(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic, TopicSettings(partitions=3))
    await write(fluvio, topic, [bytes(1000)] * 5, partition=1)
    found = await fluvio.partitions(topic)
    assert [(info.topic, info.partition, info.start_offset, info.end_offset) for info in found] == [
        (topic, 0, 0, 0),
        (topic, 1, 0, 5),
        (topic, 2, 0, 0),
    ]
    assert all(info.replicas == (info.leader,) for info in found)
    everything = await fluvio.partitions()
    assert {(info.topic, info.partition) for info in found} <= {
        (info.topic, info.partition) for info in everything
    }
    assert everything == sorted(everything, key=_place)
    with pytest.raises(TopicNotFound, match=f"{topic}-none"):
        await fluvio.partitions(f"{topic}-none")


def _place(info: PartitionInfo) -> tuple[str, int]:
    return info.topic, info.partition


async def test_a_dry_run_makes_nothing(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic, dry_run=True)
    assert topic not in [found.name for found in await fluvio.topics()]
    with pytest.raises(InvalidTopicName):
        await fluvio.create_topic("Upper", dry_run=True)
    with pytest.raises(FluvioError, match="5"):
        await fluvio.create_topic(topic, TopicSettings(segment_bytes=5), dry_run=True)
    await fluvio.create_topic(topic)
    with pytest.raises(TopicExists, match=topic):
        await fluvio.create_topic(topic, dry_run=True)
    await fluvio.create_topic(topic, exist_ok=True, dry_run=True)


async def test_deduplication_needs_its_smartmodule(fluvio: Fluvio, topic: str) -> None:
    wanted = Deduplication(count=10, age_s=60, filter="no-such-filter")
    with pytest.raises(FluvioError, match=topic):
        await fluvio.create_topic(topic, TopicSettings(deduplication=wanted))
    assert topic not in [found.name for found in await fluvio.topics()]


async def test_a_name_that_is_taken(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    with pytest.raises(TopicExists, match=topic):
        await fluvio.create_topic(topic)
    await fluvio.create_topic(topic, exist_ok=True)


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "dot.", "a" * 64, "späth", "a\n"])
async def test_a_name_that_breaks_the_rule(fluvio: Fluvio, name: str) -> None:
    with pytest.raises(InvalidTopicName):
        await fluvio.create_topic(name)


async def test_a_setting_that_the_cluster_refuses(fluvio: Fluvio, topic: str) -> None:
    with pytest.raises(FluvioError, match="5"):
        await fluvio.create_topic(topic, TopicSettings(segment_bytes=5))


async def test_more_replicas_than_the_cluster_has_spus(fluvio: Fluvio, topic: str) -> None:
    """A real SC would take the topic, and make it once it has more SPUs."""
    with pytest.raises(FluvioError, match=topic) as caught:
        await fluvio.create_topic(topic, TopicSettings(replication=9))
    assert not caught.value.retriable
    assert topic not in [found.name for found in await fluvio.topics()]


async def test_deleting(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    await fluvio.delete_topic(topic)
    assert topic not in [found.name for found in await fluvio.topics()]
    with pytest.raises(TopicNotFound, match=topic):
        await fluvio.delete_topic(topic)
    await fluvio.delete_topic(topic, missing_ok=True)


async def test_a_topic_can_be_made_again(fluvio: Fluvio, topic: str) -> None:
    for text in (b"one", b"two"):
        await fluvio.create_topic(topic)
        producer = await fluvio.producer(topic)
        await producer.send(text)
        await producer.aclose()
        consumer = await fluvio.consumer(topic)
        assert (await anext(consumer)).value == text
        await consumer.aclose()
        await fluvio.delete_topic(topic)


async def test_what_is_not_there(fluvio: Fluvio, topic: str) -> None:
    for refused in (
        fluvio.describe_topic(topic),
        fluvio.producer(topic),
        fluvio.consumer(topic),
        fluvio.end_offset(topic),
        fluvio.producer(topic, partition=None),
        fluvio.consumer(topic, consumer_id="someone"),
    ):
        with pytest.raises(TopicNotFound, match=topic):
            await refused


async def test_a_partition_that_is_not_there(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    with pytest.raises(TopicNotFound, match="partition 1"):
        await fluvio.consumer(topic, partition=1)
    with pytest.raises(TopicNotFound, match="partition 1"):
        await fluvio.producer(topic, partition=1)
