"""The reference's protocol, message by message, by a client that knows no other."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from qd_schemas.codec import decode, encode
from qd_schemas.enums import ClientErrorType, DataErrorType, DataType, Resolution
from qd_schemas.frames import trade_messages
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    FirstTradeBar,
    LastTradeBar,
    OHLCVBar,
    StartData,
    StopAllData,
    StopData,
)
from support.markets import Markets
from support.processes import Process
from support.raw_client import RawClient
from support.reference import minute_bars
from support.reference_wire import (
    ALREADY_LOGGED_IN,
    BARS,
    DATA_TYPE_UNKNOWN,
    FIVE_MINUTES,
    KRAKEN,
    NO_RESOLUTION,
    NOT_LOGGED_IN,
    TABLE,
    TABLE_NOT_FOUND,
    TRADES,
    wire,
)
from support.trades import as_trades

pytestmark = pytest.mark.usefixtures("gateway")


def start(client: int, symbol: int, kind: int = DataType.TRADES, resolution: int = 0) -> StartData:
    return StartData(client, 1, symbol, resolution, kind)


async def test_the_references_own_flow_step_by_step(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    """What the reference's client sends, and each byte that it gets, on both of its topics."""
    symbol = markets.ids["XBTUSD"]
    trades = as_trades(markets.trades["XBTUSD"])
    start = partial(wire, "StartData", client_id, KRAKEN)
    async with RawClient(fluvio_endpoint, client_id) as client:
        # A request without a login.
        await client.send_bytes(start(symbol, NO_RESOLUTION, TRADES))
        assert await client.error_bytes() == wire("ClientError", client_id, NOT_LOGGED_IN)
        # Login: no answer is its yes, as what comes next shows.
        await client.send_bytes(wire("ClientLogin", client_id))
        # Double login: refused, and the session goes on.
        await client.send_bytes(wire("ClientLogin", client_id))
        assert await client.error_bytes() == wire("ClientError", client_id, ALREADY_LOGGED_IN)
        # An unknown symbol, a kind of data that there is not.
        await client.send_bytes(start(60_000, NO_RESOLUTION, TRADES))
        assert await client.error_bytes() == wire("DataError", client_id, TABLE_NOT_FOUND)
        await client.send_bytes(start(symbol, NO_RESOLUTION, 0))
        assert await client.error_bytes() == wire("DataError", client_id, DATA_TYPE_UNKNOWN)
        # All trades, in single messages.
        await client.send_bytes(start(symbol, NO_RESOLUTION, TRADES))
        sent = [
            wire("FirstTradeBar", symbol),
            *(wire("TradeBar", symbol, t.time_us, t.price, t.volume) for t in trades),
            wire("LastTradeBar", symbol),
        ]
        assert await client.stream() == sent
        # Five-minute bars.
        await client.send_bytes(start(symbol, FIVE_MINUTES, BARS))
        bars = [
            wire("OHLCVBar", symbol, b.time_us, b.open, b.high, b.low, b.close, b.volume)
            for b in minute_bars(trades, 5)
        ]
        sent += [wire("FirstOHLCVBar", symbol), *bars, wire("LastOHLCVBar", symbol)]
        assert await client.stream() == sent[-len(bars) - 2 :]
        # Logout; from then on it is nobody again.
        await client.send_bytes(wire("ClientLogout", client_id))
        await client.send_bytes(start(symbol, NO_RESOLUTION, TRADES))
        assert await client.error_bytes() == wire("ClientError", client_id, NOT_LOGGED_IN)
        # Nothing else was ever sent.
        assert await client.held(client.topics.data) == sent
        assert await client.held(client.topics.error) == [
            wire("ClientError", client_id, NOT_LOGGED_IN),
            wire("ClientError", client_id, ALREADY_LOGGED_IN),
            wire("DataError", client_id, TABLE_NOT_FOUND),
            wire("DataError", client_id, DATA_TYPE_UNKNOWN),
            wire("ClientError", client_id, NOT_LOGGED_IN),
        ]


def test_the_reference_by_hand_is_the_oracles(oracle_data: Path) -> None:
    """The bytes of the flow above are made by hand: they are those of the official tool."""
    entries = json.loads((oracle_data / "sbe_golden.json").read_text())
    assert {entry["message"] for entry in entries} == set(TABLE)
    for entry in entries:
        made = wire(entry["message"], *entry["fields"].values())
        assert made.hex() == entry["hex"], entry


@pytest.mark.parametrize("resolution", [r for r in Resolution if r])
async def test_bars_of_all_eight_resolutions(
    fluvio_endpoint: str, markets: Markets, client_id: int, resolution: Resolution
) -> None:
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        await client.send(start(client_id, symbol, DataType.OHLCV, resolution))
        _, *bars, _ = await client.stream()
        volume = sum(bar.volume for bar in map(decode, bars) if isinstance(bar, OHLCVBar))
        assert volume == pytest.approx(markets.trades["XBTUSD"]["volume"].sum(), rel=1e-4)
        await client.send(ClientLogout(client_id))


async def test_every_refusal(fluvio_endpoint: str, markets: Markets, client_id: int) -> None:
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(start(client_id, symbol))
        assert await client.error() == ClientError(client_id, ClientErrorType.NOT_LOGGED_IN)
        await client.send(ClientLogout(client_id))
        assert await client.error() == ClientError(client_id, ClientErrorType.NOT_LOGGED_IN)
        await client.send(ClientLogin(client_id))
        await client.send(ClientLogin(client_id))
        assert await client.error() == ClientError(client_id, ClientErrorType.ALREADY_LOGGED_IN)
        for request, error in [
            (start(client_id, 60_000), DataErrorType.TABLE_NOT_FOUND),
            (StartData(client_id, 2, symbol, 0, DataType.TRADES), DataErrorType.TABLE_NOT_FOUND),
            (start(client_id, symbol, 0), DataErrorType.DATA_TYPE_UNKNOWN),
            (start(client_id, symbol, 3), DataErrorType.DATA_TYPE_UNKNOWN),
            (start(client_id, symbol, DataType.OHLCV, 9), DataErrorType.DATA_TYPE_UNKNOWN),
            (start(client_id, symbol, DataType.OHLCV, 0), DataErrorType.DATA_TYPE_UNKNOWN),
        ]:
            await client.send(request)
            assert await client.error() == DataError(client_id, error)
        await client.send(start(client_id, symbol))
        assert len(await client.stream()) == len(markets.trades["XBTUSD"]) + 2
        await client.send(ClientLogout(client_id))


async def test_the_same_market_twice_comes_twice_in_turn(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        await client.send(start(client_id, symbol))
        await client.send(start(client_id, symbol))
        assert await client.stream() == await client.stream()
        await client.send(ClientLogout(client_id))


async def test_a_new_session_gets_nothing_of_the_one_before(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    symbol, rows = markets.ids["XBTEUR"], markets.trades["XBTEUR"]
    again = (ClientLogout(client_id), ClientLogin(client_id), start(client_id, symbol))
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        await client.send(start(client_id, symbol))
        first = await client.data()
        await client.send_bytes(*(encode(message, 1) for message in again))
        while await client.data() != first:  # the second First…
            pass
        *trades, _ = await client.stream()
        assert trades == trade_messages(rows, symbol)
        await client.send(ClientLogout(client_id))


async def test_stop_and_stop_all_end_streams_with_last(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    """A paced stream never ends by itself here; pace is asked for in version 2."""
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        for stop in (
            StopData(client_id, 1, symbol, DataType.TRADES),
            StopAllData(client_id, 1),
            StopAllData(client_id, 0),
        ):
            slow = StartData(client_id, 1, symbol, 0, DataType.TRADES, stream_id=1, pace=1.0)
            await client.send(slow, 2)
            first, trade = await client.data(), await client.data()
            await client.send(stop)
            last = decode((await client.stream())[-1])
            assert decode(first) == FirstTradeBar(symbol, 1)
            assert trade == trade_messages(markets.trades["XBTUSD"][:1], symbol)[0]
            assert isinstance(last, LastTradeBar)
            assert (last.stream_id, last.end_reason, last.count) == (1, 1, 1)
        await client.send(ClientLogout(client_id))


async def test_garbage_harms_nobody(
    fluvio_endpoint: str, markets: Markets, gateway: Process, client_id: int, other_id: int
) -> None:
    symbol = markets.ids["XBTUSD"]
    login = encode(ClientLogin(other_id), 1)
    async with (
        RawClient(fluvio_endpoint, client_id) as client,
        RawClient(fluvio_endpoint, other_id) as hostile,
    ):
        await client.send(ClientLogin(client_id))
        await hostile.send_bytes(
            *(os.urandom(size) for size in range(1, 200)),
            *(login[:cut] for cut in range(1, len(login))),
            *(encode(ClientLogin(low), 1) for low in range(21)),
            encode(ClientError(client_id, 3), 1),
            bytes(100_000),
            *(encode(ClientLogin(nobody), 1) for nobody in range(30_000, 30_300)),
            *(encode(ClientLogout(nobody), 1) for nobody in range(40_000, 40_300)),
        )
        await client.send(start(client_id, symbol))
        assert len(await client.stream()) == len(markets.trades["XBTUSD"]) + 2
        # In order on one topic: once this is answered, all before it was dealt with.
        await hostile.send(StopAllData(other_id, 1))
        assert await hostile.error() == ClientError(other_id, ClientErrorType.NOT_LOGGED_IN)
        await client.send(ClientLogout(client_id))
    assert gateway.popen.poll() is None
    assert "Traceback" not in gateway.log()


async def test_a_client_whose_topics_are_gone_is_dropped(
    fluvio_endpoint: str, markets: Markets, client_id: int
) -> None:
    symbol = markets.ids["XBTUSD"]
    async with RawClient(fluvio_endpoint, client_id) as client:
        await client.send(ClientLogin(client_id))
        slow = StartData(client_id, 1, symbol, 0, DataType.TRADES, stream_id=1, pace=1e6)
        await client.send(slow, 2)
        await client.data()
    async with RawClient(fluvio_endpoint, client_id) as client:
        # The session ends once the gateway notices; until then the login is refused.
        while True:
            await client.send(ClientLogin(client_id))
            await client.send(start(client_id, symbol))
            if decode(await client.data()) == FirstTradeBar(symbol):
                break
        await client.send(ClientLogout(client_id))
