"""Both clients: a cluster as unkind as real ones are, and not a record lost or repeated."""

from __future__ import annotations

import random

import pytest

from qd_fluvio import Compression, ConnectionLost, Limits, RecordsMissing, connect
from qd_schemas.specs import ClientKind, FluvioSettings
from support.layer import BOTH_CLIENTS, Broker, read, values_of, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)
cutting = pytest.mark.parametrize("faults", [["cut-batches"]], ids=["cut"])


@cutting
@pytest.mark.parametrize(("count", "size"), [(20_000, 1000), (400, 64_000)])
async def test_many_records_in_cut_batches(
    misbehaving: Broker, client_kind: ClientKind, topic: str, count: int, size: int
) -> None:
    """The official client by itself loses 146 of the 20,000, in 19 places."""
    values = [n.to_bytes(4) * (size // 4) for n in range(count)]
    limits = Limits(fetch_bytes_max=1_000_000)
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind), limits=limits) as fluvio:
        await write(fluvio, topic, values)
        assert await read(await fluvio.consumer(topic), count) == values


@cutting
@pytest.mark.parametrize("fetch_bytes_max", [300_000, 700_000])
@pytest.mark.parametrize("size", [28, 20_000])
async def test_batches_cut_anywhere(
    misbehaving: Broker, client_kind: ClientKind, topic: str, size: int, fetch_bytes_max: int
) -> None:
    values = [n.to_bytes(4) * (size // 4) for n in range(2_000_000 // size)]
    limits = Limits(fetch_bytes_max=fetch_bytes_max)
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind), limits=limits) as fluvio:
        await write(fluvio, topic, values)
        assert await read(await fluvio.consumer(topic), len(values)) == values


@cutting
async def test_cut_batches_that_are_compressed(
    misbehaving: Broker, client_kind: ClientKind, topic: str
) -> None:
    """The official client does not lose records of these: it stalls."""
    source = random.Random(1)
    values = [source.randbytes(1000) for _ in range(2000)]
    limits = Limits(fetch_bytes_max=300_000)
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind), limits=limits) as fluvio:
        await write(fluvio, topic, values, compression=Compression.LZ4)
        assert await read(await fluvio.consumer(topic), len(values)) == values


@cutting
async def test_records_that_no_fetch_can_hold_are_named(
    misbehaving: Broker, client_kind: ClientKind, topic: str
) -> None:
    """A batch over the fetch size never arrives; the client would go on after it in silence."""
    limits = Limits(fetch_bytes_max=100_000, reconnect_seconds=2.0, idle_check_seconds=1.0)
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind), limits=limits) as fluvio:
        for size in (10, 200_000, 10):
            await write(fluvio, topic, [bytes(size)])
        consumer = await fluvio.consumer(topic)
        assert (await anext(consumer)).value == bytes(10)
        with pytest.raises((RecordsMissing, ConnectionLost), match="offset"):
            await anext(consumer)
        assert consumer.next_offset == 1


@pytest.mark.parametrize("faults", [["drop-after=1000000"]], ids=["dropping"])
async def test_a_dropping_connection(
    misbehaving: Broker, client_kind: ClientKind, topic: str
) -> None:
    values = [n.to_bytes(4) * 2500 for n in range(300)]
    # One fetch must fit what a connection carries before it is dropped.
    limits = Limits(fetch_bytes_max=300_000)
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind), limits=limits) as fluvio:
        await write(fluvio, topic, values)
        consumer = await fluvio.consumer(topic)
        assert await values_of(consumer.read_until(len(values))) == values


@pytest.mark.parametrize("faults", [["delay=0.05"]], ids=["slow"])
async def test_a_slow_cluster(misbehaving: Broker, client_kind: ClientKind, topic: str) -> None:
    values = [b"%d" % n for n in range(2000)]
    async with connect(FluvioSettings(misbehaving.endpoint, client_kind)) as fluvio:
        await write(fluvio, topic, values)
        consumer = await fluvio.consumer(topic, consumer_id="slow")
        assert await read(consumer, len(values)) == values
        await consumer.commit()
        assert [found.offset for found in await fluvio.committed_offsets()] == [1999]
