"""Topics through the layer: made usable, described, deleted; every refusal typed."""

from __future__ import annotations

import pytest

from qd_fluvio import (
    Fluvio,
    FluvioError,
    InvalidTopicName,
    TopicExists,
    TopicInfo,
    TopicNotFound,
    TopicSettings,
)
from qd_schemas.errors import SettingError


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
            partitions=2, retention_s=3600, segment_bytes=2_000_000, max_partition_bytes=9_000_000
        ),
    )
    expected = TopicInfo(
        name=topic,
        partitions=2,
        replication=1,
        retention_s=3600,
        segment_bytes=2_000_000,
        max_partition_bytes=9_000_000,
    )
    assert await fluvio.describe_topic(topic) == expected
    assert expected in await fluvio.topics()


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


@pytest.mark.parametrize(
    "settings",
    [{"partitions": 0}, {"replication": 0}, {"retention_s": 9}, {"max_partition_bytes": 2**63}],
)
def test_a_setting_that_makes_no_sense(settings: dict[str, int]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        TopicSettings(**settings)


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
    ):
        with pytest.raises(TopicNotFound, match=topic):
            await refused


async def test_a_partition_that_is_not_there(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    with pytest.raises(TopicNotFound, match="partition 1"):
        await fluvio.consumer(topic, partition=1)
    with pytest.raises(TopicNotFound, match="partition 1"):
        await fluvio.producer(topic, partition=1)
