"""The client against a real gateway: what it gives, what it refuses, what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import trustme

from qd_client import (
    AlreadyLoggedIn,
    DataUnavailable,
    GatewayUnavailable,
    QDClient,
    StreamsFull,
    SymbolUnknown,
    UsageError,
)
from qd_fluvio import FluvioError, Offset, connect
from qd_schemas.arrays import Rows
from qd_schemas.codec import decode, encode
from qd_schemas.enums import ClientErrorType, Reason, Resolution
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ExactTrade,
    LoginChallenge,
    LoginProof,
    Message,
    OHLCVBar,
    StartData,
    StopData,
)
from qd_schemas.specs import ClientKind, FluvioSettings, TlsSettings
from qd_schemas.topics import CONTROL, client_topics
from support.client_log import logged
from support.gateways import wait_logged
from support.markets import Markets
from support.processes import Process, running
from support.raw_client import RawClient

DAY_US = 86_400_000_000

pytestmark = pytest.mark.usefixtures("gateway")


async def whole(stream: AsyncIterator[Rows]) -> Rows:
    return np.concatenate([rows async for rows in stream])


async def client_topics_left(endpoint: str, client_id: int) -> set[str]:
    async with connect(endpoint) as fluvio:
        names = {topic.name for topic in await fluvio.topics()}
    return names & set(client_topics(client_id).all)


async def test_trades_arrive_to_the_last_digit(fluvio_endpoint: str, markets: Markets) -> None:
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        for symbol, rows in markets.trades.items():
            np.testing.assert_array_equal(await whole(qd.trades(markets.ids[symbol])), rows)


async def test_what_is_said_of_no_stream_ends_none(fluvio_endpoint: str, markets: Markets) -> None:
    """Anybody may send records in the name of a client without a token, too long ones as well."""
    with logged("had more than 1,024 bytes") as told:
        async with (
            QDClient(endpoint=fluvio_endpoint) as qd,
            connect(fluvio_endpoint) as fluvio,
            aclosing(qd.trades(markets.ids["XBTUSD"], pace=1e-9)) as stream,
        ):
            await anext(stream)
            waiting = asyncio.ensure_future(anext(stream))
            producer = await fluvio.producer(CONTROL)
            await producer.send(encode(StartData(qd.client_id, 1, 1, 0, 3)) + bytes(1_024))
            await producer.flush()
            said = asyncio.create_task(told.wait())
            await asyncio.wait([said, waiting], return_when=asyncio.FIRST_COMPLETED)
            assert not waiting.done()
            for task in (said, waiting):
                task.cancel()
            await asyncio.wait([said, waiting])


async def test_daily_bars(fluvio_endpoint: str, markets: Markets) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        over = await whole(qd.bars(symbol, "1d"))
        bars = await whole(qd.bars(symbol, Resolution.D1, unfinished=True))
        closed = await whole(qd.bars(symbol, "1d", stamp="close"))
        again = await whole(qd.bars(symbol, Resolution.D1, first_sequence=3))
        with pytest.raises(DataUnavailable, match="unfinished=True"):
            await whole(qd.bars(symbol, "1d", start=int(bars["time"][-1])))
    days = rows["time"] // DAY_US
    np.testing.assert_array_equal(bars["time"], np.unique(days) * DAY_US)
    np.testing.assert_array_equal(
        bars["high"], [rows["price"][days == d].max() for d in np.unique(days)]
    )
    np.testing.assert_array_equal(over, bars[:-1], "the last day may go on")
    np.testing.assert_array_equal(again, over[2:])
    np.testing.assert_array_equal(closed["time"], over["time"] + DAY_US)
    np.testing.assert_array_equal(closed["close"], over["close"])


async def test_single_messages(fluvio_endpoint: str, markets: Markets) -> None:
    symbol = markets.ids["XBTUSD"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        trades = [trade async for trade in qd.trade_messages(symbol, first_sequence=4_999)]
        bars = [bar async for bar in qd.bar_messages(symbol, "1y", unfinished=True)]
    expected = markets.trades["XBTUSD"][-2:].tolist()
    assert trades == [ExactTrade(symbol, *values) for _, *values in expected]
    assert [bar.symbol_id for bar in bars] == [symbol] * len(bars)


async def test_ranges_and_resuming(fluvio_endpoint: str, markets: Markets) -> None:
    symbol, rows = markets.ids["XBTEUR"], markets.trades["XBTEUR"]
    start, end = int(rows["time"][5_000]), int(rows["time"][15_000])
    within = rows[(rows["time"] >= start) & (rows["time"] < end)]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        np.testing.assert_array_equal(await whole(qd.trades(symbol, start=start, end=end)), within)
        np.testing.assert_array_equal(
            await whole(qd.trades(symbol, first_sequence=19_990)), rows[19_989:]
        )
        np.testing.assert_array_equal(
            await whole(qd.trades(symbol, first_sequence=10_000, end=end)),
            within[within["sequence"] >= 10_000],
        )
        np.testing.assert_array_equal(await whole(qd.trades(symbol, pace=1e12)), rows)


async def test_several_streams_at_once(fluvio_endpoint: str, markets: Markets) -> None:
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        streams = [qd.trades(markets.ids[symbol]) for symbol in markets.trades for _ in range(3)]
        got = await asyncio.gather(*map(whole, streams))
    expected = [rows for rows in markets.trades.values() for _ in range(3)]
    for found, rows in zip(got, expected, strict=True):
        np.testing.assert_array_equal(found, rows)


async def test_streams_may_be_read_in_any_order(
    fluvio_endpoint: str, markets: Markets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that nobody reads yet must not hold up the one that is read."""
    monkeypatch.setattr("qd_client.inbox.STREAM_BYTES_MAX", 1)
    symbol, rows = markets.ids["XBTEUR"], markets.trades["XBTEUR"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        first, second = qd.trades(symbol), qd.trades(symbol)
        head = await anext(first)
        np.testing.assert_array_equal(await whole(second), rows)
        np.testing.assert_array_equal(np.concatenate([head, await whole(first)]), rows)


async def test_two_clients_at_once(fluvio_endpoint: str, markets: Markets) -> None:
    async with (
        QDClient(endpoint=fluvio_endpoint) as one,
        QDClient(endpoint=fluvio_endpoint) as other,
    ):
        assert one.client_id != other.client_id
        got = await asyncio.gather(
            whole(one.trades(markets.ids["XBTUSD"])), whole(other.trades(markets.ids["XBTEUR"]))
        )
    for found, rows in zip(got, markets.trades.values(), strict=True):
        np.testing.assert_array_equal(found, rows)


async def test_refusals_are_exceptions_and_cost_nothing_else(
    fluvio_endpoint: str, markets: Markets
) -> None:
    symbol = markets.ids["XBTUSD"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        with pytest.raises(SymbolUnknown, match="symbol id 60000"):
            await whole(qd.trades(60_000))
        with pytest.raises(DataUnavailable):
            await whole(qd.trades(symbol, first_sequence=5_001))
        with pytest.raises(DataUnavailable):
            await whole(qd.bars(symbol, "1m", start=0, end=1))
        with pytest.raises(UsageError, match="one of 1m"):
            qd.bars(symbol, "2m")
        for nonsense in (-1, 65_536, 2.5, None):
            with pytest.raises(UsageError, match="symbol"):
                await whole(qd.trades(nonsense))  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="symdb"):
            await whole(qd.trades("XBTUSD"))
        assert len(await whole(qd.trades(symbol))) == len(markets.trades["XBTUSD"])


async def test_symbols_are_asked_for_over_tls(
    fluvio_endpoint: str, markets: Markets, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    server = str(tmp_path / "server.pem")
    env = {
        "QD_SYMDB": "127.0.0.1:0",
        "QD_DATABASE": markets.dsn,
        "QD_SYMDB_TLS_CERT": server,
        "QD_SYMDB_TLS_KEY": server,
    }
    tls = TlsSettings(str(tmp_path / "ca.pem"))
    with running("qd_symdb", folder=tmp_path, env=env) as ready:
        symdb = str(ready["endpoint"])
        async with QDClient(endpoint=fluvio_endpoint, symdb=symdb, symdb_tls=tls) as qd:
            rows = await whole(qd.trades("XBT/USD"))
    np.testing.assert_array_equal(rows, markets.trades["XBTUSD"])


async def test_too_many_waiting_streams_are_refused(fluvio_endpoint: str, markets: Markets) -> None:
    symbol = markets.ids["XBTUSD"]
    async with QDClient(endpoint=fluvio_endpoint, patience_s=0) as qd:
        streams = [qd.trades(symbol, pace=1.0) for _ in range(16 + 64 + 1)]
        reading = [asyncio.ensure_future(anext(stream)) for stream in streams]
        done, running = await asyncio.wait(reading, return_when=asyncio.FIRST_EXCEPTION)
        refusals = [task.exception() for task in done if task.exception() is not None]
        assert [type(refusal) for refusal in refusals] == [StreamsFull]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("at_once", [True, False])
async def test_leaving_a_stream_stops_it(
    fluvio_endpoint: str, markets: Markets, at_once: bool
) -> None:
    symbol = markets.ids["XBTUSD"]
    async with QDClient(endpoint=fluvio_endpoint) as qd:
        requests = await qd.fluvio.consumer(
            CONTROL, offset=Offset.absolute(await qd.fluvio.end_offset(CONTROL))
        )
        if at_once:
            async with aclosing(qd.trades(symbol, pace=1.0)) as stream:
                await anext(stream)
        else:
            async for _ in qd.trades(symbol, pace=1.0):
                break
        started = None
        async for record in requests:
            message = decode(record.value)
            if isinstance(message, StartData):
                started = (message.client_id, message.stream_id)
            if isinstance(message, StopData):
                assert (message.client_id, message.stream_id) == started
                break
        await requests.aclose()


async def test_leaving_the_block_logs_out_and_deletes_the_topics(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    for _ in range(2):  # the second login shows that the first one was ended
        async with QDClient(client_id, endpoint=fluvio_endpoint) as qd:
            assert len(await client_topics_left(fluvio_endpoint, client_id)) == 3
            await anext(qd.trades(markets.ids["XBTUSD"], pace=1.0))
        assert await client_topics_left(fluvio_endpoint, client_id) == set()
        with pytest.raises(UsageError):
            await anext(qd.trades(markets.ids["XBTUSD"]))


async def test_an_error_in_the_block_leaves_nothing_behind(
    fluvio_endpoint: str, client_id: int
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with QDClient(client_id, endpoint=fluvio_endpoint):
            raise ZeroDivisionError
    assert await client_topics_left(fluvio_endpoint, client_id) == set()


async def test_cancelling_leaves_nothing_behind(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    streaming = asyncio.Event()

    async def stream() -> None:
        async with QDClient(client_id, endpoint=fluvio_endpoint) as qd:
            async for _ in qd.trades(markets.ids["XBTUSD"], pace=1.0):
                streaming.set()

    task = asyncio.create_task(stream())
    task.add_done_callback(lambda _: streaming.set())
    await streaming.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client_topics_left(fluvio_endpoint, client_id) == set()


async def test_an_id_in_use_is_refused_and_its_owner_unharmed(
    fluvio_endpoint: str, markets: Markets, client_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_client.session.LOGIN_SECONDS_MAX", 120.0)  # however slow the answer is
    monkeypatch.setattr("qd_client.presence.LOGIN_SECONDS_V1_SHARED", 100.0)
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    async with QDClient(client_id, endpoint=fluvio_endpoint) as owner:
        for version in (1, 2):
            with pytest.raises(AlreadyLoggedIn, match=str(client_id)):
                async with QDClient(client_id, endpoint=fluvio_endpoint, version=version):
                    pass
        np.testing.assert_array_equal(await whole(owner.trades(symbol)), rows)
        assert len(await client_topics_left(fluvio_endpoint, client_id)) == 3


async def test_topics_that_a_crash_left_are_used_again(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    async with connect(fluvio_endpoint) as fluvio:
        for topic in client_topics(client_id).all:
            await fluvio.create_topic(topic)
            producer = await fluvio.producer(topic)
            await producer.send(b"left over")
            await producer.flush()
    async with QDClient(client_id, endpoint=fluvio_endpoint) as qd:
        np.testing.assert_array_equal(await whole(qd.trades(symbol)), rows)
    assert await client_topics_left(fluvio_endpoint, client_id) == set()


async def test_a_silent_sessions_id_is_free_after_its_lease(
    fluvio_endpoint: str, gateway: Process, client_id: int
) -> None:
    async with RawClient(fluvio_endpoint, client_id, version=2) as silent:
        await silent.send(ClientLogin(client_id, 500))
        expired = rf"ended: lease expired client={client_id} "
        await asyncio.to_thread(wait_logged, gateway, expired)
    async with QDClient(client_id, endpoint=fluvio_endpoint) as qd:
        assert qd.client_id == client_id


async def test_a_client_is_opened_once_at_a_time(fluvio_endpoint: str, markets: Markets) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    qd = QDClient(endpoint=fluvio_endpoint)
    async with qd:
        with pytest.raises(UsageError, match="open already"):
            async with qd:
                pass
        np.testing.assert_array_equal(await whole(qd.trades(symbol)), rows)
    async with qd:
        np.testing.assert_array_equal(await whole(qd.trades(symbol)), rows)


async def test_version_1_gives_f32_values(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    symbol, rows = markets.ids["XBTUSD"], markets.trades["XBTUSD"]
    async with QDClient(client_id, endpoint=fluvio_endpoint, version=1) as qd:
        got = await whole(qd.trades(symbol))
        np.testing.assert_array_equal(got["sequence"], rows["sequence"])
        np.testing.assert_array_equal(got["time"], rows["time"])
        np.testing.assert_array_equal(got["price"], rows["price"].astype("f4"))
        bars = [bar async for bar in qd.bar_messages(symbol, "1M")]
        assert bars
        assert all(isinstance(bar, OHLCVBar) for bar in bars)
        with pytest.raises(SymbolUnknown):
            await whole(qd.trades(60_000))
        with pytest.raises(UsageError, match="version 2"):
            await whole(qd.trades(symbol, first_sequence=5))
        again = await asyncio.gather(whole(qd.trades(symbol)), whole(qd.bars(symbol, "1d")))
        np.testing.assert_array_equal(again[0], got)


async def test_without_a_gateway_the_login_says_so(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_client.session.LOGIN_SECONDS_MAX", 0.5)
    folder = tmp_path_factory.mktemp("lonely")
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        endpoint = str(ready["endpoint"])
        with pytest.raises(GatewayUnavailable, match="qdgw-control"):
            async with QDClient(endpoint=endpoint):
                pass
        async with connect(endpoint) as fluvio:
            await fluvio.create_topic(CONTROL)
        with pytest.raises(GatewayUnavailable, match=r"within 0\.5 s"):
            async with QDClient(endpoint=endpoint):
                pass
        async with connect(endpoint) as fluvio:
            assert [topic.name for topic in await fluvio.topics()] == [CONTROL]


async def test_refused_copies_of_a_proof_leave_the_login_to_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_client.presence.LOGIN_RESEND_SECONDS", 0.2)

    async def say(topic: str, *messages: Message) -> None:
        producer = await fluvio.producer(topic)
        await producer.send_many([encode(message) for message in messages])
        await producer.flush()
        await producer.aclose()

    async def refuse() -> None:
        """Answer as gateways do that took over from one another while a client logs in."""
        answered = set()
        async for record in await fluvio.consumer(CONTROL, offset=Offset.beginning()):
            asked = decode(record.value)
            if isinstance(asked, ClientLogin | LoginProof):
                if (asked.client_id, type(asked)) in answered:
                    continue  # sent again: to answer that as well would take longer than it does
                answered.add((asked.client_id, type(asked)))
            with contextlib.suppress(FluvioError):  # of a client that did not wait for it
                if isinstance(asked, ClientLogin):
                    topics = client_topics(asked.client_id)
                    await say(topics.data, LoginChallenge(asked.client_id, bytes(32)))
                elif isinstance(asked, LoginProof):
                    error = ClientErrorType.LOGIN_FAILED, LoginProof.TEMPLATE, Reason.WRONG_PROOF
                    await say(
                        client_topics(asked.client_id).error,
                        *[ClientError(asked.client_id, *error)] * 3,
                    )

    async def refused(seconds: float) -> str:
        monkeypatch.setattr("qd_client.session.LOGIN_SECONDS_MAX", seconds)
        with pytest.raises(GatewayUnavailable) as caught:
            async with QDClient(endpoint=endpoint, token="of nobody"):
                pass
        return str(caught.value)

    with running("qd_fluvio.broker", "--data", str(tmp_path / "data"), folder=tmp_path) as ready:
        endpoint = FluvioSettings(str(ready["endpoint"]), ClientKind.NATIVE)
        async with connect(endpoint) as fluvio:
            await fluvio.create_topic(CONTROL)
            refusing = asyncio.create_task(refuse())
            said = ""
            for seconds in (1.5, 6.0, 24.0):  # whichever suffices here for an answer to come
                said = said if "answered at last" in said else await refused(seconds)
            assert re.search(r"answered at last: client .* the proof", said)
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)
