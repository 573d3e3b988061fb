"""A reader that stalls stops the gateway, at the window; others go on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qd_client import QDClient
from qd_client.acknowledging import Acknowledgements, window_rows
from qd_client.limits import ACKS_PER_WINDOW, STREAM_BYTES_MAX
from qd_client.request import Range, StreamRequest
from qd_fluvio import Fluvio
from qd_schemas.codec import decode_at
from qd_schemas.enums import DataType, Resolution
from qd_schemas.messages import FrameHeader
from qd_schemas.topics import client_topics
from support.markets import Markets
from support.processes import Process

ROWS = 1_000
REQUEST = StreamRequest(
    21, 1, "XBTUSD", 7, DataType.TRADES_EXACT, Resolution.NONE, 3, Range(), window_rows=ROWS
)


def test_a_window_fits_into_what_a_stream_may_hold() -> None:
    """Otherwise a stream that stalls would hold up its client's others."""
    for is_bars, row_bytes in ((False, 36), (True, 60)):
        assert 0.9 * STREAM_BYTES_MAX < window_rows(is_bars=is_bars) * row_bytes < STREAM_BYTES_MAX


@given(st.lists(st.integers(1, 3 * ROWS), max_size=30))
@example([ROWS // ACKS_PER_WINDOW])
def test_a_part_of_the_window_is_acknowledged_at_a_time(taken: list[int]) -> None:
    acks = Acknowledgements()
    next_sequence = said = 1
    for count in taken:
        next_sequence += count
        is_due = acks.took(REQUEST, next_sequence)
        assert is_due == (next_sequence - said >= ROWS // ACKS_PER_WINDOW)
        if is_due:
            said = next_sequence
            assert [ack.sequence for ack in acks.due()] == [said]
        assert acks.due() == []
    acks.repeat()
    assert [ack.sequence for ack in acks.due()] == ([said] if said > 1 else [])
    acks.forget(REQUEST.stream_id)
    acks.repeat()
    assert acks.due() == []


async def rows_sent(fluvio: Fluvio, topic: str) -> Counter[int]:
    """How many rows of each stream are on a topic."""
    found: Counter[int] = Counter()
    consumer = await fluvio.consumer(topic)
    async for record in consumer.read_until(await fluvio.end_offset(topic)):
        message, _ = decode_at(record.value, 0)
        if isinstance(message, FrameHeader):
            found[message.stream_id] += message.count
    await consumer.aclose()
    return found


async def test_a_stalled_reader_stops_the_gateway(
    fluvio_endpoint: str, markets: Markets, gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_client.acknowledging.WINDOW_BYTES", 36 * ROWS)
    symbol, rows = markets.ids["XBTEUR"], markets.trades["XBTEUR"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        stalled = qd.trades(symbol)
        first = await anext(stalled)
        # Twenty windows of another stream, in which there is time enough for more of this one.
        read = np.concatenate([part async for part in qd.trades(symbol)])
        np.testing.assert_array_equal(read, rows)
        sent = await rows_sent(qd.fluvio, client_topics(qd.client_id).data)
        assert sorted(sent.values()) == [ROWS, len(rows)]
        rest = [part async for part in stalled]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), rows)
    assert stalled.resumed == 0
