"""A broker process seen through its ports: calls, errors, streams, hostile clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import struct
from pathlib import Path

import pytest

from qd_fluvio.broker.settings import (
    BATCH_BYTES_MAX,
    REQUEST_BYTES_MAX,
    STREAMS_PER_CONNECTION_MAX,
)
from qd_fluvio.wire import data
from qd_fluvio.wire.codec import encode
from qd_fluvio.wire.failures import ErrorCode, Failure, other
from qd_fluvio.wire.frames import RequestHeader
from qd_fluvio.wire.records import iter_batches
from qd_fluvio.wire.smartmodules import FilterKind, Invocation, StoredModule
from support.broker import Ports, WireClient, batch_of, connected, opened, values_in
from support.processes import Process

_serial = itertools.count()


@pytest.fixture
async def topic(ports: Ports) -> str:
    """A new topic with one partition."""
    name = f"topic-{next(_serial)}"
    async with connected(ports.sc) as sc:
        assert not (await sc.create(name)).error
    return name


async def test_produce_gives_offsets_and_errors_for_each_batch(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        broken = bytearray(batch_of(b"x"))
        broken[-2] ^= 1
        answers = await spu.produce(
            topic,
            batch_of(b"a", b"b"),
            bytes(broken),
            batch_of(bytes(BATCH_BYTES_MAX)),
            batch_of(b"c"),
        )
        assert [item.error.code for item in answers] == [
            ErrorCode.NONE,
            ErrorCode.OTHER,
            ErrorCode.MESSAGE_TOO_LARGE,
            ErrorCode.NONE,
        ]
        assert "checksum" in answers[1].error.details[0]
        assert (answers[0].base_offset, answers[3].base_offset) == (0, 2)
        assert (await spu.ends(topic)).end_offset == 3


async def test_an_unknown_topic_or_partition(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        for name, partition in (("nope", 0), (topic, 1)):
            (answer,) = await spu.produce(name, batch_of(b"a"), partition=partition)
            assert answer.error.code == ErrorCode.NOT_LEADER_FOR_PARTITION
            assert (await spu.ends(name, partition)).error.code == ErrorCode.PARTITION_NOT_LEADER
        stream = await spu.answer(spu.stream("nope", 0))
        assert stream.partition.error.code == ErrorCode.NOT_LEADER_FOR_PARTITION


async def test_a_plain_fetch(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"a"), batch_of(b"b"))

        async def fetch(name: str, offset: int) -> data.FetchedPartition:
            part = data.FetchPartition(0, -1, offset, 0, 1_000_000)
            request = data.FetchRequest(0, 0, 1_000_000, 0, (data.FetchTopic(name, (part,)),))
            return (await spu.call(data.FETCH, request)).topics[0].partitions[0]

        assert values_in((await fetch(topic, 0)).records) == [b"a", b"b"]
        assert values_in((await fetch(topic, 1)).records) == [b"b"]
        assert (await fetch(topic, 3)).error == other("start offset: 3 is greater than leo: 2")
        assert (await fetch("nope", 0)).error.code == ErrorCode.NOT_LEADER_FOR_PARTITION


async def test_partitions_share_what_one_fetch_allows(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert not (await sc.create("shared", 3)).error
        for number in range(3):
            await spu.produce("shared", batch_of(bytes(1_000)), partition=number)
        parts = tuple(data.FetchPartition(number, -1, 0, 0, 1_000_000) for number in range(3))
        topics = (data.FetchTopic("shared", parts),)
        for max_bytes, counts in ((1_000_000, [1, 1, 1]), (1_500, [1, 1, 0]), (1, [1, 0, 0])):
            request = data.FetchRequest(0, 0, max_bytes, 0, topics)
            found = (await spu.call(data.FETCH, request)).topics[0].partitions
            assert [len(values_in(item.records)) for item in found] == counts
            assert [item.high_watermark for item in found] == [1, 1, 1]


async def read_stream(
    client: WireClient, topic: str, count: int, *, offset: int = 0, max_bytes: int = 1_000_000
) -> list[bytes]:
    """So many values through a stream, acknowledged portion by portion."""
    stream = client.stream(topic, offset, max_bytes=max_bytes)
    values: list[bytes] = []
    while len(values) < count:
        answer = await client.answer(stream)
        assert not answer.partition.error, answer.partition.error
        values += values_in(answer.partition.records)
        last = list(iter_batches(answer.partition.records))[-1].next_offset
        assert not await client.acknowledge(answer.stream_id, last)
    return values


async def test_a_stream_goes_on_as_records_come(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as reading, connected(ports.spu) as writing:
        await writing.produce(topic, batch_of(b"0"))
        stream = reading.stream(topic, 0)
        for number in range(20):
            answer = await reading.answer(stream)
            assert values_in(answer.partition.records) == [b"%d" % number]
            await reading.acknowledge(answer.stream_id, number + 1)
            await writing.produce(topic, batch_of(b"%d" % (number + 1)))


async def test_nothing_is_sent_before_the_client_asks_again(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"0"))
        stream = spu.stream(topic, 0)
        first = await spu.answer(stream)
        for number in range(1, 5):
            await spu.produce(topic, batch_of(b"%d" % number))
        # Answers come in order on a connection, so a portion would have come before these.
        assert not spu._answers[stream]
        await spu.acknowledge(first.stream_id, 1)
        assert len(values_in((await spu.answer(stream)).partition.records)) == 4


async def test_a_client_that_is_behind_gets_it_again(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"0"), batch_of(b"1"), batch_of(b"2"))
        stream = spu.stream(topic, 0)
        first = await spu.answer(stream)
        await spu.acknowledge(first.stream_id, 1)
        assert values_in((await spu.answer(stream)).partition.records) == [b"1", b"2"]


async def test_streams_give_whole_batches(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        values = [b"%03d" % number + b"." * 1_000 for number in range(100)]
        await spu.produce(topic, *(batch_of(*values[i : i + 10]) for i in range(0, 100, 10)))
        assert await read_stream(spu, topic, 100, max_bytes=25_000) == values
        # A batch over the limit comes whole, too.
        assert await read_stream(spu, topic, 100, max_bytes=10) == values


@pytest.mark.parametrize(
    ("offset", "failure"),
    [
        (-1, Failure(ErrorCode.OFFSET_EVICTED, (-1, 0))),
        (2, other("start offset: 2 is greater than leo: 1")),
        (999, other("start offset: 999 is greater than leo: 1")),
    ],
)
async def test_a_stream_from_nowhere(
    ports: Ports, topic: str, offset: int, failure: Failure
) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"0"))
        answer = await spu.answer(spu.stream(topic, offset))
        assert answer.partition.error == failure


async def test_an_acknowledgement_of_no_stream(ports: Ports) -> None:
    async with connected(ports.spu) as spu:
        failure = await spu.acknowledge(77, 1)
        assert failure.code == ErrorCode.FETCH_SESSION_NOT_FOUND


async def test_waiting_streams_hear_that_their_topic_is_deleted(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert not (await sc.create("doomed")).error
        await spu.produce("doomed", batch_of(b"0"))
        waiting, unread = spu.stream("doomed", 1), spu.stream("doomed", 0)
        assert values_in((await spu.answer(unread)).partition.records) == [b"0"]
        assert not (await sc.delete("doomed")).error
        for stream in (waiting, unread):
            answer = await spu.answer(stream)
            assert answer.partition.error.code == ErrorCode.TOPIC_DELETED


async def test_a_smartmodule_that_is_not_there(ports: Ports, topic: str) -> None:
    module = Invocation(StoredModule("nope"), FilterKind())
    missing = Failure(ErrorCode.SMARTMODULE_NOT_FOUND, ("nope",))
    async with connected(ports.spu) as spu:
        fetch = data.StreamFetchRequest(topic, 0, 0, 1_000, 0, (module,))
        answer = await spu.call(data.STREAM_FETCH, fetch)
        assert answer.partition.error == missing
        item = data.ProducePartition(0, batch_of(b"a"))
        produce = data.ProduceRequest(None, 1, 0, (data.ProduceTopic(topic, (item,)),), (module,))
        refused = (await spu.call(data.PRODUCE, produce)).topics[0].partitions[0]
        assert refused.error == missing
        assert (await spu.ends(topic)).end_offset == 0


async def test_consumers_offsets(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"0", b"1", b"2"))
        named = await spu.answer(spu.stream(topic, 0, consumer="c1"))
        plain = await spu.answer(spu.stream(topic, 0))

        async def commit(stream_id: int) -> data.UpdateConsumerResponse:
            request = data.UpdateConsumerRequest(2, stream_id)
            return await spu.call(data.UPDATE_CONSUMER, request)

        async def committed() -> list[int]:
            wanted = data.ConsumerFilter(data.ReplicaKey(topic, 0))
            answer = await spu.call(data.FETCH_CONSUMERS, data.FetchConsumersRequest(wanted))
            return [item.offset for item in answer.consumers]

        assert (await commit(named.stream_id)).offset == 2
        assert await committed() == [2]
        assert "consumer id" in (await commit(plain.stream_id)).error.details[0]
        assert (await commit(999)).error.code == ErrorCode.FETCH_SESSION_NOT_FOUND
        request = data.DeleteConsumerRequest(data.ReplicaKey(topic, 0), "c1")
        assert not (await spu.call(data.DELETE_CONSUMER, request)).error
        assert await committed() == []


HOSTILE = {
    "random": os.urandom(4_096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "huge length": struct.pack(">i", 2**31 - 1) + b"x",
    "over the limit": struct.pack(">i", REQUEST_BYTES_MAX + 1),
    "negative length": struct.pack(">i", -5) + b"hello",
    "empty frame": struct.pack(">i", 0),
    "unknown call": struct.pack(">ihhih", 10, 9_999, 1, 1, 0),
    "cut call": struct.pack(">ihhih", 10, 1_003, 19, 1, 0),
}


@pytest.mark.parametrize("port", ["sc", "spu"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_close_that_connection_only(
    ports: Ports, topic: str, port: str, name: str
) -> None:
    async with connected(ports.spu) as bystander, connected(getattr(ports, port)) as hostile:
        await bystander.produce(topic, batch_of(b"before"))
        lines = ports.log.read_text().count("closing 127.0.0.1")
        hostile.writer.write(HOSTILE[name])
        with contextlib.suppress(ConnectionError):
            assert await hostile.closed() == b""
        (answer,) = await bystander.produce(topic, batch_of(b"after"))
        assert answer.base_offset == 1
        text = ports.log.read_text()
        assert text.count("closing 127.0.0.1") == lines + 1
        assert "Traceback" not in text


async def test_a_client_that_leaves_in_the_middle_of_a_request(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        spu.writer.write(struct.pack(">i", 1 << 20) + bytes(1_000))
        await spu.writer.drain()
    async with connected(ports.spu) as spu:
        assert (await spu.ends(topic)).end_offset == 0


async def test_requests_sent_at_once_are_answered_in_order(ports: Ports, topic: str) -> None:
    item = data.ProduceTopic(topic, (data.ProducePartition(0, batch_of(b"x" * 5_000)),))
    request = data.ProduceRequest(None, 1, 0, (item,))
    async with connected(ports.spu) as spu:
        numbers = [spu.send(data.PRODUCE, request) for _ in range(500)]
        offsets = [
            (await spu.answer(number)).topics[0].partitions[0].base_offset for number in numbers
        ]
        assert offsets == list(range(500))


async def test_a_slow_consumer_hurts_nobody(ports: Ports, topic: str) -> None:
    values = [b"%02d" % number + bytes(500_000) for number in range(40)]
    async with connected(ports.spu) as slow, connected(ports.spu) as quick:
        for value in values:
            await quick.produce(topic, batch_of(value))
        # Many streams whose portions nobody takes off the socket.
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        streams = [slow.stream(topic, 0, max_bytes=2**31 - 1) for _ in range(20)]
        await slow.writer.drain()
        assert await read_stream(quick, topic, len(values), max_bytes=2_000_000) == values
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for stream in streams:
            answer = await slow.answer(stream)
            assert opened(answer.partition.records)[0].offset == 0


async def test_forgotten_streams_do_not_add_up(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as spu:
        await spu.produce(topic, batch_of(b"0"))
        for _ in range(STREAMS_PER_CONNECTION_MAX + 50):
            answer = await spu.answer(spu.stream(topic, 0))
        assert not await spu.acknowledge(answer.stream_id, 1)
        assert (await spu.acknowledge(1, 1)).code == ErrorCode.FETCH_SESSION_NOT_FOUND


async def test_a_stream_that_is_ended_leaves_no_half_of_a_frame(ports: Ports, topic: str) -> None:
    async with connected(ports.spu) as slow, connected(ports.spu) as quick:
        for _ in range(8):
            await quick.produce(topic, batch_of(bytes(1_000_000)))
        slow.pause()
        for _ in range(4):  # more than the sockets hold
            slow.stream(topic, 0, max_bytes=2**31 - 1)
        await slow.writer.drain()
        assert (await quick.ends(topic)).end_offset == 8
        for _ in range(STREAMS_PER_CONNECTION_MAX):
            slow.stream(topic, 8)
        ends = slow.send(
            data.FETCH_OFFSETS, data.FetchOffsetsRequest((data.OffsetsTopic(topic, (0,)),))
        )
        name = slow.writer.get_extra_info("sockname")[1]
        while f"ending stream 3 of 127.0.0.1:{name}: too many" not in ports.log.read_text():
            assert (await quick.ends(topic)).end_offset == 8
        slow.resume()
        (found,) = (await slow.answer(ends)).topics[0].partitions
        assert found.end_offset == 8


async def test_many_clients_create_and_write_at_once(ports: Ports) -> None:
    async def client(number: int) -> list[bytes]:
        async with connected(ports.sc) as sc, connected(ports.spu) as spu:
            name = f"many-{number}"
            assert not (await sc.create(name)).error
            for value in range(20):
                await spu.produce(name, batch_of(b"%d" % value))
            values = await read_stream(spu, name, 20)
            assert not (await sc.delete(name)).error
            return values

    found = await asyncio.gather(*(client(number) for number in range(30)))
    assert found == [[b"%d" % value for value in range(20)]] * 30


def test_a_taken_port_and_a_taken_folder_are_clear_errors(ports: Ports, tmp_path: Path) -> None:
    busy = ports.sc.rpartition(":")[2]
    for arguments, words in (
        (
            ("--data", str(tmp_path / "data"), "--sc-port", busy),
            f"cannot listen on 127.0.0.1:{busy}",
        ),
        (("--data", str(ports.log.parent / "data")), "another broker uses"),
        (("--data", "/proc/nowhere"), "cannot use the data folder"),
    ):
        process = Process("qd_fluvio.broker", *arguments, folder=tmp_path)
        assert process.popen.wait(60) == 1
        assert words in process.log()
        assert "Traceback" not in process.log()
        process.log_file.unlink()


async def test_request_header_strings_are_not_trusted(ports: Ports) -> None:
    header = bytearray(encode(RequestHeader(1_003, 19, 1, "abcd"), 0))
    header[-4:] = b"\xff\xfe\xfd\xfc"
    async with connected(ports.sc) as sc:
        sc.writer.write(struct.pack(">i", len(header)) + header)
        assert await sc.closed() == b""
