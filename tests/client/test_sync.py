"""The client without asyncio, over a real gateway and symbol master."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import assert_type

import numpy as np
import pytest

import qd_client
from qd_client import (
    DataUnavailable,
    IntervalEnd,
    Slice,
    SymbolNotFound,
    SyncQDClient,
    Trades,
    UsageError,
)
from qd_fluvio import connect
from qd_schemas.arrays import Rows
from qd_schemas.messages import BreakoutAlert, ExactBar, ExactTrade
from qd_schemas.topics import client_topics
from support.markets import Markets
from support.processes import running


@pytest.fixture(scope="module")
def surroundings(
    fluvio_endpoint: str,
    gateway: object,
    markets: Markets,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The settings of the cluster and of a symbol master over the generated markets."""
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": markets.dsn}
    with running("qd_symdb", folder=tmp_path_factory.mktemp("symdb"), env=env) as ready:
        yield {"QD_FLUVIO": fluvio_endpoint, "QD_SYMDB": str(ready["endpoint"])}


@pytest.fixture(autouse=True)
def environment(surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def qd() -> Iterator[SyncQDClient]:
    with SyncQDClient() as client:
        yield client


# --- one call -----------------------------------------------------------------------------


def test_one_call(markets: Markets) -> None:
    rows = markets.trades["XBTUSD"]
    np.testing.assert_array_equal(qd_client.trades("XBTUSD"), rows)
    start, end = rows["time"][10], rows["time"][20]
    found = qd_client.trades(
        "XBTUSD", start=np.datetime64(int(start), "us"), end=int(end), frame="arrow"
    )
    within = (rows["time"] >= start) & (rows["time"] < end)
    assert found["sequence"].to_pylist() == rows["sequence"][within].tolist()
    bars = assert_type(qd_client.bars("XBTUSD", "1M", unfinished=True), Rows)
    assert bars["volume"].sum() == pytest.approx(rows["volume"].sum())


def test_one_call_is_refused_as_any() -> None:
    with pytest.raises(SymbolNotFound, match="XBTXXX"):
        qd_client.trades("XBTXXX")
    with pytest.raises(DataUnavailable):
        qd_client.bars("XBTUSD", "1d", start="2030")
    with pytest.raises(UsageError, match="frame is 'excel'"):
        qd_client.trades("XBTUSD", frame="excel")  # type: ignore[call-overload]  # as users may


async def test_a_cell_of_a_notebook_can_call(markets: Markets) -> None:
    names: dict[str, object] = {}
    cell = "import qd_client\nrows = qd_client.trades('XBTUSD')"
    exec(compile(cell, "<cell>", "exec"), names)  # in a thread whose loop runs
    assert len(names["rows"]) == len(markets.trades["XBTUSD"])  # type: ignore[arg-type]


# --- the client ---------------------------------------------------------------------------


def test_arrays_and_messages(qd: SyncQDClient, markets: Markets) -> None:
    rows, market = markets.trades["XBTUSD"], markets.ids["XBTUSD"]
    stream = qd.trades("XBTUSD", first_sequence=4_991)
    np.testing.assert_array_equal(np.concatenate(list(stream)), rows[4_990:])
    assert (stream.next_sequence, stream.rows, stream.resumed) == (5_001, 10, 0)
    messages = qd.trade_messages(market, first_sequence=4_999)
    assert list(messages) == [
        ExactTrade(market, *row) for row in rows[4_998:][["time", "price", "volume"]].tolist()
    ]
    assert isinstance(next(qd.bar_messages("XBTUSD", "1d")), ExactBar)
    assert len(next(qd.bars("XBTUSD", "1d"))) > 1
    # Of whoever used the cluster before; and they end.
    assert all(isinstance(alert, BreakoutAlert) for alert in qd.alerts(follow=False))
    left = qd.trades("XBTEUR")
    next(left)
    left.close()
    with pytest.raises(StopIteration):
        next(left)


def test_a_replay(qd: SyncQDClient, markets: Markets) -> None:
    rows = markets.trades["XBTUSD"]
    with qd.replay(["XBTUSD", "XBTEUR"], every="1d") as replay:
        events = list(replay)
    times = [event.time for event in events]
    assert times == sorted(times)
    mine = [
        event.rows
        for event in events
        if isinstance(event, Slice) and event.market == Trades("XBTUSD")
    ]
    np.testing.assert_array_equal(np.concatenate(mine), rows)
    days = [event for event in events if isinstance(event, IntervalEnd)]
    assert all(one.end == other.start for one, other in itertools.pairwise(days))


def test_commands_take_effect_at_the_event_that_the_program_sees(
    qd: SyncQDClient, markets: Markets
) -> None:
    rows = markets.trades["XBTUSD"]
    with qd.replay(["XBTUSD"]) as replay:
        events = replay.events()  # of which many are fetched ahead
        seen = [next(events).time for _ in range(3)]
        replay.pause()
        assert replay.is_paused
        replay.step(2)
        seen += [next(events).time for _ in range(2)]
        assert replay.is_paused
        assert replay.time == seen[-1]
        replay.resume()
        seen += [next(events).time for _ in range(5)]
        assert seen == rows["time"][:10].tolist()
        replay.seek(int(rows["time"][-1]))
        assert next(events).time == rows["time"][-1]
        replay.seek(int(rows["time"][0]))
        replay.pause()
        resuming = threading.Thread(target=replay.resume)
        resuming.start()  # another thread ends the wait of this one
        assert next(events).time == rows["time"][0]
        resuming.join()
        replay.set_pace(1e9)
        assert replay.pace == 1e9
        assert next(iter(replay)).time == rows["time"][1]


async def test_a_coroutine_is_told_to_use_the_other_client(qd: SyncQDClient) -> None:
    with pytest.raises(UsageError, match="use the asynchronous client"):
        next(qd.trades("XBTUSD"))


def test_a_client_can_be_opened_again(markets: Markets) -> None:
    client = SyncQDClient()
    for _ in range(2):
        with client:
            by_name, by_id = (
                next(client.trades(symbol))[0]
                for symbol in ("XBTUSD", np.int64(markets.ids["XBTUSD"]))
            )
            assert by_name == by_id == markets.trades["XBTUSD"][0]


def test_a_client_that_is_not_open() -> None:
    client = SyncQDClient()
    with pytest.raises(UsageError, match="inside `with SyncQDClient"):
        client.trades("XBTUSD")
    with client:
        assert client.client_id > 20
        stream = client.trades("XBTUSD", pace=1e-6)
        next(stream)
    with pytest.raises(UsageError, match="closed"):
        next(stream)


PROGRAM = """
import qd_client
try:
    with qd_client.SyncQDClient({client_id}) as qd:
        for rows in qd.trades("XBTUSD", pace=1e-6):
            print("waits", flush=True)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_logs_out_and_leaves_nothing(surroundings: dict[str, str], client_id: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(client_id=client_id)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **surroundings},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=60) == ("interrupted\n", "")
    assert not topics(surroundings["QD_FLUVIO"]) & set(client_topics(client_id).all)


def topics(endpoint: str) -> set[str]:
    async def names() -> set[str]:
        async with connect(endpoint) as fluvio:
            return {topic.name for topic in await fluvio.topics()}

    return asyncio.run(names())
