"""Consuming with a name, where the records cannot be handed over."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qd_cli.consuming import From, Start, Wanted, consume
from qd_fluvio import Isolation, Record, connect

RECORDS = 5


async def test_what_could_not_be_handed_over_comes_again(fluvio_endpoint: str, topic: str) -> None:
    wanted = Wanted(
        topics=(topic,),
        partitions=frozenset(),
        start=Start(From.BEGINNING),
        last_offset=None,
        records_max=None,
        follow=False,
        consumer_id=f"{topic}-report",
        isolation=Isolation.READ_UNCOMMITTED,
    )
    taken: list[bytes] = []

    def full(_topic: str, _partition: int, records: Sequence[Record]) -> None:
        for record in records:
            if len(taken) == 2:
                raise OSError("no space left")
            taken.append(record.value)

    def take(_topic: str, _partition: int, records: Sequence[Record]) -> None:
        taken.extend(record.value for record in records)

    async with connect(fluvio_endpoint) as fluvio:
        await fluvio.create_topic(topic)
        producer = await fluvio.producer(topic)
        for number in range(RECORDS):
            await producer.send(b"%d" % number)
            await producer.flush()
        with pytest.raises(OSError, match="no space left"):
            await consume(fluvio, wanted, full)
        assert taken == [b"0", b"1"]
        await consume(fluvio, wanted, take)
    assert set(taken) == {b"%d" % number for number in range(RECORDS)}
