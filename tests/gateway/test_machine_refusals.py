"""Each refusal says in version 2 what was asked, why not, and which limit was hit."""

from __future__ import annotations

import dataclasses

import pytest

from qd_gateway.core.actions import Channel, IgnoreReason, Reply
from qd_gateway.core.admission import Policy
from qd_gateway.core.limits import Limits
from qd_gateway.core.plans import Refusal
from qd_schemas.codec import encode
from qd_schemas.enums import ClientErrorType, DataErrorType, DataType, Reason, Resolution
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    Heartbeat,
    LoginProof,
    Message,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.specs import TokenRule, Version1Rule
from qd_schemas.wire import NO_COUNT, NO_DETAIL, NO_STREAM
from support.machines import CLIENT, OTHER, Gateway, Holder, ignored, sent, start, tickets

IN_USE, FAILED, NOT_IN, _ = list(ClientErrorType)[1:]
BAD_PROOF = LoginProof(CLIENT, 0, 1, bytes(32))
TIGHT = Limits(sessions=1, running=1, running_per_client=1, waiting=2, waiting_per_client=1)


def asking(**changed: object) -> StartData:
    return dataclasses.replace(start(), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "request_", "error", "reason"),
    [
        ([ClientLogin(CLIENT)], ClientLogin(CLIENT), IN_USE, Reason.ID_IN_USE),
        ([ClientLogin(CLIENT, 0, 5)], ClientLogin(CLIENT, 0, 6), IN_USE, Reason.ID_IN_USE),
        ([ClientLogin(CLIENT)], BAD_PROOF, IN_USE, Reason.ID_IN_USE),
        ([], BAD_PROOF, FAILED, Reason.TOKEN_UNKNOWN),
        ([], ClientLogout(CLIENT), NOT_IN, Reason.NO_SESSION),
        ([], Heartbeat(CLIENT), NOT_IN, Reason.NO_SESSION),
        ([], StreamAck(CLIENT, 1, 1), NOT_IN, Reason.NO_SESSION),
        ([], start(), NOT_IN, Reason.NO_SESSION),
        ([], StopData(CLIENT, 1, 1, 1), NOT_IN, Reason.NO_SESSION),
        ([], StopAllData(CLIENT, 1), NOT_IN, Reason.NO_SESSION),
    ],
)
def test_refusals_about_sessions(
    before: list[Message], request_: Message, error: ClientErrorType, reason: Reason
) -> None:
    gateway = Gateway()
    for message in before:
        gateway.send(message)
    (reply,) = gateway.send(request_)
    assert isinstance(reply, Reply)
    assert (reply.channel, reply.error, reply.reason) == (Channel.ERROR, error, reason)
    assert sent([reply]) == [ClientError(CLIENT, error, request_.TEMPLATE, reason, NO_COUNT)]


@pytest.mark.parametrize(
    ("policy", "has_token", "version", "reason"),
    [
        (Policy(TokenRule.REQUIRED), False, 2, Reason.TOKEN_UNKNOWN),
        (Policy(TokenRule.REQUIRED), False, 1, Reason.TOKEN_UNKNOWN),
        (Policy(version_1=Version1Rule.REFUSE), False, 1, Reason.VERSION_REFUSED),
        (Policy(), True, 1, Reason.VERSION_REFUSED),
    ],
)
def test_logins_that_the_policy_refuses(
    policy: Policy, has_token: bool, version: int, reason: Reason
) -> None:
    gateway = Gateway(policy=policy)
    gateway.machine.set_keys({CLIENT if has_token else OTHER: bytes(32)})
    (reply,) = gateway.send(ClientLogin(CLIENT), version)
    assert isinstance(reply, Reply)
    assert (reply.error, reply.reason) == (FAILED, reason)
    details = (ClientLogin.TEMPLATE, reason) if version > 1 else (NO_DETAIL, NO_DETAIL)
    assert sent([reply]) == [ClientError(CLIENT, FAILED, *details)]


@pytest.mark.parametrize("by_proof", [False, True])
def test_logins_over_the_limit(by_proof: bool) -> None:
    gateway = Gateway(TIGHT)
    gateway.send(ClientLogin(OTHER))
    holder = Holder()
    if by_proof:
        gateway.machine.set_keys({CLIENT: holder.key})
    login = holder.proof() if by_proof else ClientLogin(CLIENT)
    refused = ClientError(CLIENT, FAILED, login.TEMPLATE, Reason.SESSIONS_FULL, 1)
    assert sent(gateway.send(login)) == [refused]
    gateway.send(ClientLogout(OTHER))
    assert len(gateway.send(login)) == 2  # it was not spent


@pytest.mark.parametrize(
    ("request_", "error", "reason"),
    [
        (asking(data_type_id=0), DataErrorType.DATA_TYPE_UNKNOWN, Reason.DATA_TYPE_UNKNOWN),
        (asking(data_type_id=9), DataErrorType.DATA_TYPE_UNKNOWN, Reason.DATA_TYPE_UNKNOWN),
        (
            asking(data_type_id=DataType.OHLCV, time_resolution=9),
            DataErrorType.DATA_TYPE_UNKNOWN,
            Reason.RESOLUTION_UNKNOWN,
        ),
        (
            asking(data_type_id=DataType.OHLCV_EXACT, time_resolution=Resolution.NONE),
            DataErrorType.DATA_TYPE_UNKNOWN,
            Reason.RESOLUTION_UNKNOWN,
        ),
        (asking(pace=-1.0), DataErrorType.DATA_UNAVAILABLE, Reason.BAD_PACE),
        (asking(pace=float("nan")), DataErrorType.DATA_UNAVAILABLE, Reason.BAD_PACE),
        (asking(pace=float("inf")), DataErrorType.DATA_UNAVAILABLE, Reason.BAD_PACE),
        (asking(first_sequence=-1), DataErrorType.DATA_UNAVAILABLE, Reason.BAD_SEQUENCE),
    ],
)
def test_refusals_of_what_cannot_be_streamed(
    request_: StartData, error: DataErrorType, reason: Reason
) -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    refused = DataError(CLIENT, error, 1, StartData.TEMPLATE, reason, NO_COUNT)
    assert sent(gateway.send(request_)) == [refused]


def test_a_client_may_only_let_so_many_streams_wait() -> None:
    gateway = Gateway(TIGHT)
    gateway.send(ClientLogin(CLIENT))
    assert len(gateway.send(start(stream=1))) == 1
    assert gateway.send(start(stream=2)) == []
    error, reason = DataErrorType.CHANNEL_FAILED, Reason.CLIENT_STREAMS_FULL
    refused = DataError(CLIENT, error, 3, StartData.TEMPLATE, reason, 1)
    assert sent(gateway.send(start(stream=3))) == [refused]


def test_all_clients_may_only_let_so_many_streams_wait() -> None:
    gateway = Gateway(dataclasses.replace(TIGHT, sessions=4))
    for client in range(21, 25):
        gateway.send(ClientLogin(client))
    for client in range(21, 24):
        assert len(sent(gateway.send(start(client)))) == 0
    error, reason = DataErrorType.CHANNEL_FAILED, Reason.STREAMS_FULL
    assert gateway.machine.waiting == 2
    refused = DataError(24, error, 1, StartData.TEMPLATE, reason, 2)
    assert sent(gateway.send(start(24))) == [refused]
    gateway.send(ClientLogout(23))
    assert sent(gateway.send(start(24))) == []
    assert gateway.machine.waiting == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_stream_that_failed_says_why(version: int) -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT), version)
    (ticket,) = tickets(gateway.send(start(kind=DataType.TRADES), version))
    refusal = Refusal(DataErrorType.DATA_UNAVAILABLE, Reason.NO_ROWS)
    (reply,) = gateway.machine.on_stream_ended(ticket, refusal)
    assert isinstance(reply, Reply)
    told = DataError(CLIENT, refusal.error, 1, StartData.TEMPLATE, Reason.NO_ROWS)
    assert reply.payload == encode(told, version)
    assert (reply.error, reply.reason) == (refusal.error, Reason.NO_ROWS)


def test_version_1_bytes_hold_no_detail() -> None:
    gateway = Gateway()
    (reply,) = gateway.send(ClientLogout(CLIENT), 1)
    assert isinstance(reply, Reply)
    assert reply.payload == bytes.fromhex("05002103010001002103150003")
    assert sent([reply]) == [ClientError(CLIENT, NOT_IN)]
    assert sent([reply])[0] == ClientError(CLIENT, NOT_IN, NO_DETAIL, NO_DETAIL, NO_COUNT)


@pytest.mark.parametrize("version", [1, 2])
def test_an_operator_ends_a_client(version: int) -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT), version)
    gateway.send(start(kind=DataType.TRADES), version)
    told, aborted, closed = gateway.machine.end_client(CLIENT)
    assert isinstance(told, Reply)
    details = (NO_DETAIL, Reason.ENDED_BY_OPERATOR) if version > 1 else ()
    assert sent([told]) == [ClientError(CLIENT, NOT_IN, *details)]
    assert [type(action).__name__ for action in (aborted, closed)] == [
        "AbortStream",
        "CloseSession",
    ]
    assert gateway.machine.end_client(CLIENT) == []


def test_an_operator_ends_one_stream() -> None:
    gateway = Gateway(TIGHT)
    gateway.send(ClientLogin(CLIENT))
    (one,) = tickets(gateway.send(start(stream=1)))
    gateway.send(start(stream=2))
    (waiting,) = gateway.machine.sessions[0].waiting
    error, reason = DataErrorType.CHANNEL_FAILED, Reason.ENDED_BY_OPERATOR
    told = [DataError(CLIENT, error, id_, StartData.TEMPLATE, reason) for id_ in (1, 2)]
    assert sent(gateway.machine.end_stream(CLIENT, waiting.ticket)) == told[1:]
    assert sent(gateway.machine.end_stream(CLIENT, one)) == told[:1]
    assert gateway.machine.end_stream(CLIENT, one) == []
    assert gateway.machine.end_stream(OTHER, one) == []
    assert gateway.machine.on_stream_ended(one, Refusal(error, reason)) == []  # told already


def test_a_record_that_is_too_long() -> None:
    gateway = Gateway(Limits(refusals_per_second=1))
    record = encode(start()) + bytes(1_024)
    gateway.send(ClientLogin(CLIENT))
    answers = [gateway.put(record) for _ in range(3)]
    assert [ignored(actions) for actions in answers] == [[IgnoreReason.TOO_LONG]] * 3
    error, reason = DataErrorType.CHANNEL_FAILED, Reason.TOO_LONG
    told = [DataError(CLIENT, error, NO_STREAM, NO_DETAIL, reason, 1_024)]
    assert [sent(actions) for actions in answers] == [told, told, []]  # two seconds' worth


def test_nobody_else_is_told_of_a_record_that_is_too_long() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(OTHER), 1)
    for client in (CLIENT, OTHER):  # without a session, and of version 1
        actions = gateway.put(encode(start(client)) + bytes(1_024))
        assert (ignored(actions), sent(actions)) == ([IgnoreReason.TOO_LONG], [])


def test_who_signs_is_not_told_of_records_that_anybody_may_have_sent() -> None:
    gateway, holder = Gateway(), Holder()
    gateway.machine.set_keys({CLIENT: holder.key})
    gateway.send(holder.proof())
    actions = gateway.put(holder.sign(start()) + bytes(1_024))
    assert (ignored(actions), sent(actions)) == ([IgnoreReason.TOO_LONG], [])


def test_a_stop_of_everything_names_no_stream_where_it_is_refused() -> None:
    gateway = Gateway(Limits(requests_per_second=1))
    gateway.send(ClientLogin(CLIENT))
    assert [sent(gateway.send(StopAllData(CLIENT, 0))) for _ in range(2)] == [[], []]
    error, reason = DataErrorType.CHANNEL_FAILED, Reason.TOO_FAST
    refused = DataError(CLIENT, error, NO_STREAM, StopAllData.TEMPLATE, reason, 1)
    assert sent(gateway.send(StopAllData(CLIENT, 0))) == [refused]
