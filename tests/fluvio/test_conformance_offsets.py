"""Both clients: committed offsets of named consumers, and which records may be seen."""

from __future__ import annotations

import pytest

from qd_fluvio import (
    Fluvio,
    Isolation,
    Limits,
    Offset,
    OffsetOutOfRange,
    TopicSettings,
    connect,
)
from qd_fluvio.commits import Commits
from qd_fluvio.control import ControlPlane
from qd_schemas.errors import SettingError
from qd_schemas.specs import ClientKind, FluvioSettings
from support.layer import BOTH_CLIENTS, Broker, read, values_of, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)
VALUES = [b"%d" % n for n in range(100)]


@pytest.fixture
def reader(topic: str) -> str:
    """A consumer's name that no test had before."""
    return f"reader-of-{topic}"


async def committed(fluvio: Fluvio, reader: str) -> dict[int, int]:
    """What it has committed, by partition."""
    found = await fluvio.committed_offsets(consumer_id=reader)
    assert all(offset.modified_s > 1_600_000_000 for offset in found)
    return {offset.partition: offset.offset for offset in found}


async def test_resuming_after_what_was_committed(fluvio: Fluvio, topic: str, reader: str) -> None:
    await write(fluvio, topic, VALUES)
    first = await fluvio.consumer(topic, consumer_id=reader)
    await first.commit()  # nothing was read, so nothing is committed
    assert await committed(fluvio, reader) == {}
    assert await read(first, 10) == VALUES[:10]
    await first.commit()
    assert await committed(fluvio, reader) == {0: 9}
    await read(first, 5)  # not committed: comes again
    await first.aclose()
    second = await fluvio.consumer(topic, consumer_id=reader, offset=Offset.end())
    assert second.next_offset == 10
    await second.commit()  # nothing was read since, so nothing changes
    assert await committed(fluvio, reader) == {0: 9}
    assert await read(second, 90) == VALUES[10:]
    await second.commit()
    await second.commit()
    third = await fluvio.consumer(topic, consumer_id=reader)
    await write(fluvio, topic, [b"new"])
    assert (await anext(third)).value == b"new"


async def test_only_what_was_given_out_is_committed(
    fluvio: Fluvio, topic: str, reader: str
) -> None:
    """Records that wait in the consumer's queue were not read by anybody."""
    await write(fluvio, topic, VALUES)
    consumer = await fluvio.consumer(topic, consumer_id=reader)
    for number in range(1, 4):
        await anext(consumer)
        await consumer.commit()
        assert await committed(fluvio, reader) == {0: number - 1}
    async for batch in consumer.batches():
        await consumer.commit()
        assert await committed(fluvio, reader) == {0: batch[-1].offset}
        if batch[-1].offset == 99:
            break


async def test_consumers_of_other_ids_and_partitions_are_apart(
    fluvio: Fluvio, topic: str, reader: str
) -> None:
    await fluvio.create_topic(topic, TopicSettings(partitions=2))
    for partition in (0, 1):
        await write(fluvio, topic, VALUES, partition=partition)
    for name, partition, count in ((reader, 0, 10), (reader, 1, 20), (f"{reader}-2", 0, 30)):
        consumer = await fluvio.consumer(topic, partition=partition, consumer_id=name)
        assert await read(consumer, count) == VALUES[:count]
        await consumer.commit()
    assert await committed(fluvio, reader) == {0: 9, 1: 19}
    assert await committed(fluvio, f"{reader}-2") == {0: 29}
    found = await fluvio.committed_offsets(topic=topic)
    assert [(o.consumer_id, o.topic, o.partition, o.offset) for o in found] == [
        (reader, topic, 0, 9),
        (reader, topic, 1, 19),
        (f"{reader}-2", topic, 0, 29),
    ]
    assert set(found) <= set(await fluvio.committed_offsets())
    assert await fluvio.committed_offsets(topic=f"{topic}-none") == []


async def test_forgetting(fluvio: Fluvio, topic: str, reader: str) -> None:
    await write(fluvio, topic, VALUES)
    consumer = await fluvio.consumer(topic, consumer_id=reader)
    await read(consumer, 10)
    await consumer.commit()
    await fluvio.delete_committed_offset(reader, topic)
    assert await committed(fluvio, reader) == {}
    await fluvio.delete_committed_offset(reader, topic)
    await fluvio.delete_committed_offset(reader, f"{topic}-none", 7)
    anew = await fluvio.consumer(topic, consumer_id=reader, offset=Offset.absolute(3))
    assert await read(anew, 1) == VALUES[3:4]


async def test_a_deleted_topic_takes_its_offsets_along(
    fluvio: Fluvio, topic: str, reader: str
) -> None:
    await write(fluvio, topic, VALUES)
    consumer = await fluvio.consumer(topic, consumer_id=reader)
    await read(consumer, 10)
    await consumer.commit()
    await consumer.aclose()
    await fluvio.delete_topic(topic)
    assert await committed(fluvio, reader) == {}
    await write(fluvio, topic, [b"anew"])
    again = await fluvio.consumer(topic, consumer_id=reader)
    assert (await anext(again)).value == b"anew"


async def test_without_an_id_nothing_can_be_committed(fluvio: Fluvio, topic: str) -> None:
    await fluvio.create_topic(topic)
    consumer = await fluvio.consumer(topic)
    with pytest.raises(SettingError, match="id"):
        await consumer.commit()


@pytest.mark.parametrize("isolation", list(Isolation), ids=lambda isolation: isolation.value)
async def test_isolation(fluvio: Fluvio, topic: str, isolation: Isolation) -> None:
    await write(fluvio, topic, VALUES)
    consumer = await fluvio.consumer(topic, isolation=isolation)
    assert await read(consumer, 100) == VALUES
    await write(fluvio, topic, [b"live"])
    assert await read(consumer, 1) == [b"live"]


async def test_isolation_with_replicas(fluvio: Fluvio, topic: str) -> None:
    """Acknowledged is what all replicas have, so it can be read and counted at once."""
    leaders = {info.leader for info in await fluvio.partitions()}
    if len(leaders) < 2:
        pytest.skip("needs a cluster with two SPUs and partitions on both")
    await fluvio.create_topic(topic, TopicSettings(replication=2))
    consumer = await fluvio.consumer(topic, isolation=Isolation.READ_COMMITTED)
    for number in range(20):
        await write(fluvio, topic, [b"%d" % number] * 50)
        assert await fluvio.end_offset(topic) == 50 * (number + 1)
        assert await read(consumer, 50) == [b"%d" % number] * 50


async def test_committed_offsets_survive_a_restart(
    broker: Broker, client_kind: ClientKind, topic: str, reader: str
) -> None:
    cluster = FluvioSettings(broker.endpoint, client_kind)
    async with connect(cluster, limits=Limits(reconnect_seconds=60.0)) as fluvio:
        await write(fluvio, topic, VALUES)
        consumer = await fluvio.consumer(topic, consumer_id=reader)
        await read(consumer, 10)
        await consumer.commit()
        broker.kill()
        broker.start()
        assert await committed(fluvio, reader) == {0: 9}
        await read(consumer, 10)
        await consumer.commit()  # the connection it was committed on before is gone
        assert await committed(fluvio, reader) == {0: 19}
        again = await fluvio.consumer(topic, consumer_id=reader)
        assert await values_of(again.read_until(100)) == VALUES[20:]


async def test_a_committed_offset_that_the_partition_does_not_have(
    fluvio: Fluvio, cluster: FluvioSettings, topic: str, reader: str
) -> None:
    """Retention took it, say: to go on elsewhere would skip records, so the user decides."""
    await write(fluvio, topic, VALUES)
    commits = Commits(ControlPlane(cluster), topic, 0, reader)
    await commits.commit(5)
    await commits.commit(1000)
    commits.close()
    with pytest.raises(OffsetOutOfRange, match="1001"):
        await fluvio.consumer(topic, consumer_id=reader)
    await fluvio.delete_committed_offset(reader, topic)
    assert (await fluvio.consumer(topic, consumer_id=reader)).next_offset == 0
