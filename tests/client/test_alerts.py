"""Alerts are read once each, whoever else writes on their topic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_client.breakout_alerts import Deduplicator, alert_key, alerts
from qd_fluvio import Offset, TopicNotFound, connect
from qd_schemas.codec import encode
from qd_schemas.messages import BreakoutAlert, ClientLogin
from qd_schemas.topics import ALERTS
from support.processes import running


def alert(sequence: int, symbol: int = 1, signal: int = 1) -> BreakoutAlert:
    return BreakoutAlert(symbol, 1, signal, 1, 1_000_000, 5.0, sequence, 1.0, 4.0, 3.0, 2.0)


@pytest.fixture
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: the topic's name is the same for all."""
    folder = tmp_path_factory.mktemp("alerts")
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        yield str(ready["endpoint"])


async def test_each_alert_once_and_nothing_else(endpoint: str) -> None:
    async with connect(endpoint) as fluvio:
        await fluvio.create_topic(ALERTS)
        producer = await fluvio.producer(ALERTS)
        await producer.send_many(
            [
                encode(alert(1)),
                b"garbage",
                encode(alert(1)),
                encode(ClientLogin(21)),
                encode(alert(2)) + encode(alert(1, symbol=2)),
                encode(alert(2)) + b"\0",
                encode(alert(3)),
            ]
        )
        await producer.flush()
        expected = [alert(1), alert(2), alert(1, symbol=2), alert(3)]
        assert [found async for found in alerts(fluvio, follow=False)] == expected
        from_end = alerts(fluvio, offset=Offset.end(), follow=False)
        assert [found async for found in from_end] == []
        following = alerts(fluvio)
        assert [await anext(following) for _ in expected] == expected
        await producer.send(encode(alert(4)))
        assert await anext(following) == alert(4)
        await following.aclose()


async def test_before_the_service_ever_ran(endpoint: str) -> None:
    async with connect(endpoint) as fluvio:
        assert [found async for found in alerts(fluvio, follow=False)] == []
        with pytest.raises(TopicNotFound):
            await anext(alerts(fluvio))


@given(st.lists(st.builds(alert, st.integers(1, 5), st.integers(1, 2))))
def test_the_first_of_equals_is_new(found: list[BreakoutAlert]) -> None:
    fresh = Deduplicator()
    kept = [each for each in found if fresh.is_new(each)]
    assert {alert_key(each) for each in kept} == {alert_key(each) for each in found}
    assert len(kept) == len({alert_key(each) for each in kept})


def test_it_remembers_a_bounded_number() -> None:
    fresh = Deduplicator(remembered_max=2)
    assert [fresh.is_new(alert(s)) for s in (1, 2, 3, 3, 2, 1)] == [
        *(True, True, True),
        *(False, False, True),
    ]
