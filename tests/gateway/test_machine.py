"""The machine's answers, request by request."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from qd_gateway.core.actions import (
    AbortStream,
    Action,
    AdvanceStream,
    Channel,
    CloseSession,
    EndCause,
    Ignored,
    IgnoreReason,
    OpenSession,
    Reply,
    StartStream,
    StopStream,
)
from qd_gateway.core.limits import Limits
from qd_gateway.core.plans import Refusal
from qd_gateway.core.sessions import Session
from qd_schemas.codec import decode, encode, version_of
from qd_schemas.enums import (
    ClientErrorType,
    DataErrorType,
    DataType,
    EndReason,
    Reason,
    Resolution,
    UnfinishedBar,
)
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    FirstTradeBar,
    Heartbeat,
    LastTradeBar,
    Message,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.wire import NO_CHOICE, NO_COUNT
from support.machines import CLIENT, EPOCH, OTHER, Gateway, sent, start, tickets

NOT_SENT = Refusal(DataErrorType.SEND_FAILED, Reason.NOT_SENT)
NO_MARKET = Refusal(DataErrorType.TABLE_NOT_FOUND, Reason.SYMBOL_UNKNOWN)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def coarse(actions: list[Action]) -> list[Message]:
    """What is sent, as a version 1 client would read it, but with stream ids."""
    bare: list[Message] = []
    for message in sent(actions):
        match message:
            case ClientError():
                bare.append(ClientError(message.client_id, message.client_error_type))
            case DataError():
                error = message.data_error_type
                bare.append(DataError(message.client_id, error, message.stream_id))
            case _:
                bare.append(message)
    return bare


def test_a_version_1_login_is_not_answered(gateway: Gateway) -> None:
    assert gateway.send(ClientLogin(CLIENT), 1) == [OpenSession(CLIENT, 1, 1)]


def test_a_version_2_login_is_answered_with_a_heartbeat(gateway: Gateway) -> None:
    opened, reply = gateway.send(ClientLogin(CLIENT))
    assert opened == OpenSession(CLIENT, 1, 2)
    assert isinstance(reply, Reply)
    assert (reply.channel, decode(reply.payload)) == (Channel.DATA, Heartbeat(CLIENT, EPOCH))


@pytest.mark.parametrize("version", [1, 2])
def test_a_second_login_is_refused(gateway: Gateway, version: int) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    actions = gateway.send(ClientLogin(CLIENT), version)
    assert coarse(actions) == [ClientError(CLIENT, ClientErrorType.ALREADY_LOGGED_IN)]
    assert isinstance(actions[0], Reply)
    assert version_of(actions[0].payload) == version


def test_a_heartbeat_says_whether_the_id_is_in_use(gateway: Gateway) -> None:
    assert coarse(gateway.send(Heartbeat(CLIENT))) == [
        ClientError(CLIENT, ClientErrorType.NOT_LOGGED_IN)
    ]
    gateway.send(ClientLogin(CLIENT), 2)
    assert sent(gateway.send(Heartbeat(CLIENT))) == [Heartbeat(CLIENT, EPOCH)]
    gateway.send(ClientLogin(OTHER), 1)
    assert coarse(gateway.send(Heartbeat(OTHER))) == [
        ClientError(OTHER, ClientErrorType.ALREADY_LOGGED_IN)
    ]


def test_logins_over_the_limit_fail() -> None:
    gateway = Gateway(Limits(sessions=1))
    gateway.send(ClientLogin(CLIENT))
    actions = gateway.send(ClientLogin(OTHER))
    assert coarse(actions) == [ClientError(OTHER, ClientErrorType.LOGIN_FAILED)]


@pytest.mark.parametrize(
    ("request_", "version"),
    [
        (ClientLogout(CLIENT), 1),
        (Heartbeat(CLIENT), 2),
        (start(kind=DataType.TRADES), 1),
        (start(), 2),
        (StopData(CLIENT, 1, 1, 1), 1),
        (StopAllData(CLIENT, 1), 2),
    ],
)
def test_without_a_login_everything_is_refused(
    gateway: Gateway, request_: Message, version: int
) -> None:
    actions = gateway.send(request_, version)
    assert coarse(actions) == [ClientError(CLIENT, ClientErrorType.NOT_LOGGED_IN)]


@pytest.mark.parametrize("client_id", [0, 1, 2, 20, 65_535])
def test_an_invalid_client_id_is_only_noted(gateway: Gateway, client_id: int) -> None:
    (action,) = gateway.send(ClientLogin(client_id), 1)
    assert isinstance(action, Ignored)
    assert action.reason is IgnoreReason.BAD_CLIENT_ID


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", IgnoreReason.NOT_A_MESSAGE),
        (b"garbage", IgnoreReason.NOT_A_MESSAGE),
        (encode(ClientLogin(CLIENT))[:-1], IgnoreReason.NOT_A_MESSAGE),
        (encode(ClientLogin(CLIENT)) * 2, IgnoreReason.NOT_A_MESSAGE),
        (encode(ClientError(CLIENT, 1)), IgnoreReason.NOT_A_REQUEST),
        (bytes(5_000), IgnoreReason.TOO_LONG),
    ],
)
def test_what_is_no_request_is_only_noted(
    gateway: Gateway, payload: bytes, reason: IgnoreReason
) -> None:
    (action,) = gateway.put(payload)
    assert isinstance(action, Ignored)
    assert action.reason is reason


@pytest.mark.parametrize(
    ("kind", "resolution", "version", "error"),
    [
        (0, 1, 1, DataErrorType.DATA_TYPE_UNKNOWN),
        (DataType.TRADES_EXACT, 0, 1, DataErrorType.DATA_TYPE_UNKNOWN),
        (9, 1, 2, DataErrorType.DATA_TYPE_UNKNOWN),
        (DataType.OHLCV, 0, 1, DataErrorType.DATA_TYPE_UNKNOWN),
        (DataType.OHLCV, 9, 1, DataErrorType.DATA_TYPE_UNKNOWN),
        (DataType.OHLCV_EXACT, 255, 2, DataErrorType.DATA_TYPE_UNKNOWN),
    ],
)
def test_an_unknown_kind_of_data_is_refused(
    gateway: Gateway, kind: int, resolution: int, version: int, error: DataErrorType
) -> None:
    gateway.send(ClientLogin(CLIENT), version)
    request = StartData(CLIENT, 1, 1, resolution, kind, 5)
    stream_id = 5 if version == 2 else DataError(0, 0).stream_id
    assert coarse(gateway.send(request, version)) == [DataError(CLIENT, error, stream_id)]


@pytest.mark.parametrize("resolution", [r for r in Resolution if r])
def test_all_eight_resolutions_start(gateway: Gateway, resolution: Resolution) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    (action,) = gateway.send(StartData(CLIENT, 1, 7, resolution, DataType.OHLCV), 1)
    assert isinstance(action, StartStream)
    assert action.plan.resolution is resolution


def test_in_version_1_the_same_symbol_waits_for_its_turn(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    (first,) = tickets(gateway.send(start(kind=DataType.TRADES), 1))
    assert gateway.send(start(kind=DataType.TRADES), 1) == []
    assert len(tickets(gateway.send(start(kind=DataType.OHLCV), 1))) == 1
    assert len(tickets(gateway.machine.on_stream_ended(first))) == 1


def test_in_version_2_the_stream_id_tells_streams_apart(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT))
    assert len(tickets(gateway.send(start(stream=1)))) == 1
    assert len(tickets(gateway.send(start(stream=2)))) == 1


def test_a_stream_id_that_is_taken_waits_for_its_turn(gateway: Gateway) -> None:
    """A client may use an id again as soon as it has read the Last… of it."""
    gateway.send(ClientLogin(CLIENT))
    (first,) = tickets(gateway.send(start(symbol=1, stream=1)))
    assert gateway.send(start(symbol=2, stream=1)) == []
    assert len(tickets(gateway.machine.on_stream_ended(first))) == 1


def test_clients_take_turns_for_a_place() -> None:
    gateway = Gateway(Limits(running=1))
    gateway.send(ClientLogin(CLIENT))
    gateway.send(ClientLogin(OTHER))
    (running,) = tickets(gateway.send(start(CLIENT, stream=1)))
    for stream in (2, 3):
        gateway.send(start(CLIENT, stream=stream))
    gateway.send(start(OTHER, stream=1))
    clients = []
    for _ in range(3):
        (started,) = gateway.machine.on_stream_ended(running)
        assert isinstance(started, StartStream)
        clients.append(started.plan.client_id)
        running = started.plan.ticket
    assert clients == [CLIENT, OTHER, CLIENT]


def test_a_client_takes_only_so_many_places() -> None:
    gateway = Gateway(Limits(running_per_client=2))
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    one, _ = (tickets(gateway.send(start(stream=stream)))[0] for stream in (1, 2))
    assert gateway.send(start(stream=3)) == []
    assert len(gateway.send(start(OTHER))) == 1
    assert len(tickets(gateway.machine.on_stream_ended(one))) == 1


def test_a_client_stays_in_line_while_more_of_its_streams_wait() -> None:
    gateway = Gateway(Limits(running=2))
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    running = [tickets(gateway.send(start(OTHER, stream=stream)))[0] for stream in (1, 2)]
    for stream in (1, 2):
        assert gateway.send(start(CLIENT, stream=stream)) == []
    for ticket in running:
        assert len(tickets(gateway.machine.on_stream_ended(ticket))) == 1


def sessions_alive() -> int:
    gc.collect()
    return sum(isinstance(found, Session) for found in gc.get_objects())


def test_nothing_is_kept_of_sessions_that_ended_while_they_stood_in_line() -> None:
    gateway = Gateway(Limits(running=1, strangers_per_second=1_000))
    before = sessions_alive()
    gateway.send(ClientLogin(OTHER))
    gateway.send(start(OTHER))
    for _ in range(50):
        gateway.send(ClientLogin(CLIENT))
        gateway.send(start())
        gateway.send(ClientLogout(CLIENT))
    assert gateway.machine.session_count == 1
    assert sessions_alive() <= before + 1


def test_waiting_streams_are_limited() -> None:
    gateway = Gateway(Limits(running=1, waiting_per_client=1))
    gateway.send(ClientLogin(CLIENT))
    gateway.send(start(stream=1))
    assert gateway.send(start(stream=2)) == []
    assert coarse(gateway.send(start(stream=3))) == [
        DataError(CLIENT, DataErrorType.CHANNEL_FAILED, 3)
    ]


def test_stop_ends_the_named_stream_once(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT))
    (one,) = tickets(gateway.send(start(stream=1)))
    gateway.send(start(stream=2))
    stop = StopData(CLIENT, 1, 1, DataType.TRADES_EXACT, 1)
    assert gateway.send(stop) == [StopStream(one, EndReason.STOPPED)]
    assert gateway.send(stop) == []


def test_a_version_1_stop_names_market_and_data_type(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    (trades,) = tickets(gateway.send(start(kind=DataType.TRADES), 1))
    (bars,) = tickets(gateway.send(start(kind=DataType.OHLCV), 1))
    assert gateway.send(StopData(CLIENT, 1, 2, DataType.TRADES), 1) == []
    assert gateway.send(StopData(CLIENT, 1, 1, DataType.OHLCV), 1) == [
        StopStream(bars, EndReason.STOPPED)
    ]
    assert gateway.send(StopAllData(CLIENT, 1), 1) == [StopStream(trades, EndReason.STOPPED)]


@pytest.mark.parametrize(("exchange", "stopped"), [(1, 1), (0, 1), (2, 0)])
def test_stop_all_names_an_exchange_or_all(gateway: Gateway, exchange: int, stopped: int) -> None:
    gateway.send(ClientLogin(CLIENT))
    gateway.send(start())
    assert len(gateway.send(StopAllData(CLIENT, exchange))) == stopped


def test_a_waiting_stream_that_is_stopped_still_begins_and_ends() -> None:
    gateway = Gateway(Limits(running=1))
    gateway.send(ClientLogin(CLIENT))
    gateway.send(start(stream=1))
    gateway.send(start(stream=2))
    actions = gateway.send(StopData(CLIENT, 1, 1, DataType.TRADES_EXACT, 2))
    assert sent(actions) == [FirstTradeBar(1, 2), LastTradeBar(1, 2, EndReason.STOPPED, 0)]


def test_acknowledgements_advance_a_running_stream_and_only_rise(gateway: Gateway) -> None:
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    (one,) = tickets(gateway.send(start(stream=1)))
    gateway.send(start(symbol=2, stream=1))  # waits until the first has ended
    for sequence in (NO_COUNT, 5, -1, 0, 1):
        assert gateway.send(StreamAck(OTHER, 1, sequence)) == []
        assert gateway.send(StreamAck(CLIENT, 2, sequence)) == []
    for sequence, rises in [(1, False), (0, False), (2, True), (2, False), (1, False), (9, True)]:
        advanced = [AdvanceStream(one, sequence)] if rises else []
        assert gateway.send(StreamAck(CLIENT, 1, sequence)) == advanced
    (two,) = tickets(gateway.machine.on_stream_ended(one))
    assert gateway.send(StreamAck(CLIENT, 1, 2)) == [AdvanceStream(two, 2)]


def test_a_plan_says_its_window_and_what_becomes_of_unfinished_bars(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT))
    for stream, (choice, expected) in enumerate(
        [
            (NO_CHOICE, UnfinishedBar.INCLUDED),
            (0, UnfinishedBar.LEFT_OUT),
            (1, UnfinishedBar.INCLUDED),
            (9, UnfinishedBar.INCLUDED),
        ]
    ):
        asked = replace(start(stream=stream), window_rows=7, unfinished=choice)
        (started,) = gateway.send(asked)
        assert isinstance(started, StartStream)
        assert (started.plan.window_rows, started.plan.unfinished) == (7, expected)
    (bare,) = gateway.send(start(kind=DataType.OHLCV), 1)
    assert isinstance(bare, StartStream)
    assert (bare.plan.window_rows, bare.plan.unfinished) == (0, UnfinishedBar.INCLUDED)


def test_a_client_cannot_stop_another_ones_stream(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT))
    gateway.send(ClientLogin(OTHER))
    gateway.send(start(CLIENT))
    assert gateway.send(StopAllData(OTHER, 1)) == []


def test_logout_aborts_streams_and_frees_the_id(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    (ticket,) = tickets(gateway.send(start(kind=DataType.TRADES), 1))
    assert gateway.send(ClientLogout(CLIENT), 1) == [
        AbortStream(ticket),
        CloseSession(CLIENT, 1, EndCause.LOGOUT),
    ]
    assert gateway.send(ClientLogin(CLIENT), 1) == [OpenSession(CLIENT, 2, 1)]
    assert gateway.machine.on_stream_ended(ticket, NOT_SENT) == []


def test_a_silent_version_2_client_loses_its_session(gateway: Gateway) -> None:
    lease_s = Limits().lease_s(0)
    gateway.send(ClientLogin(CLIENT))
    gateway.send(ClientLogin(OTHER), 1)
    gateway.send(Heartbeat(CLIENT), now=1.0)
    assert gateway.machine.on_tick(lease_s) == []
    assert gateway.machine.on_tick(lease_s + 1) == [CloseSession(CLIENT, 1, EndCause.LEASE_EXPIRED)]
    assert gateway.machine.on_tick(1e9) == []  # version 1 keeps the reference's rule


def test_being_deaf_does_not_cost_the_clients_their_lease(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT))
    gateway.machine.on_reconnected(100.0)
    assert gateway.machine.on_tick(101.0) == []


def test_a_failed_stream_is_told_in_the_version_of_its_request(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    (ticket,) = tickets(gateway.send(start(kind=DataType.TRADES), 1))
    (reply,) = gateway.machine.on_stream_ended(ticket, NO_MARKET)
    assert isinstance(reply, Reply)
    assert version_of(reply.payload) == 1
    assert decode(reply.payload) == DataError(CLIENT, DataErrorType.TABLE_NOT_FOUND)


def test_a_gone_client_is_dropped_unless_it_logged_in_again(gateway: Gateway) -> None:
    gateway.send(ClientLogin(CLIENT), 1)
    gateway.send(ClientLogout(CLIENT), 1)
    gateway.send(ClientLogin(CLIENT), 1)
    assert gateway.machine.on_client_gone(CLIENT, 1) == []
    assert gateway.machine.on_client_gone(CLIENT, 2) == [
        CloseSession(CLIENT, 2, EndCause.CLIENT_GONE)
    ]
