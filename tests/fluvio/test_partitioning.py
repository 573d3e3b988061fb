"""Which partition a record goes to: Fluvio's rule."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qd_fluvio import TopicSettings, connect
from qd_fluvio.partitioning import Partitioner, partition_of_key, siphash24
from qd_schemas.specs import ClientKind, FluvioSettings
from support.official import run_script

SCRIPT = Path(__file__).with_name("official_keys.py")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # From the SipHash of Rust's standard library, which has a key of zeros too.
        (b"", 0x1E924B9D737700D7),
    ],
)
def test_siphash(message: bytes, expected: int) -> None:
    assert siphash24(message) == expected


def test_keys_keep_their_partition_and_others_take_turns() -> None:
    partitioner = Partitioner(3)
    chosen = [partitioner.choose(key) for key in (None, b"a", None, b"a", None, b"a" * 100, None)]
    assert [chosen[n] for n in (0, 2, 4, 6)] == [0, 1, 2, 0]
    assert chosen[1] == chosen[3] == partition_of_key(b"a", 3)
    assert chosen[5] == partition_of_key(b"a" * 100, 3)


async def test_the_official_library_chooses_the_same(fluvio_endpoint: str, topic: str) -> None:
    """Keys of all lengths around the hash's words of eight bytes."""
    partitions = 7
    keys = [bytes([n]) * n for n in range(1, 40)] + [b"BTC/EUR", b"ETH-USD", b"\xff" * 200]
    found: dict[bytes | None, int] = {}
    async with connect(FluvioSettings(fluvio_endpoint, ClientKind.NATIVE)) as native:
        await native.create_topic(topic, TopicSettings(partitions=partitions))
        given = ",".join(key.hex() for key in keys)
        assert await asyncio.to_thread(run_script, SCRIPT, fluvio_endpoint, topic, given)
        for number in range(partitions):
            end = await native.end_offset(topic, number)
            consumer = await native.consumer(topic, partition=number)
            found |= {record.key: number async for record in consumer.read_until(end)}
    assert found == {key: partition_of_key(key, partitions) for key in keys}
