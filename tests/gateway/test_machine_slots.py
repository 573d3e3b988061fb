"""Slots taken, parked and given up; sessions saved and taken over; each record handled once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_gateway.core.actions import (
    AbortStream,
    Action,
    CloseSession,
    EndCause,
    OpenSession,
    StartStream,
    StopStream,
)
from qd_gateway.core.limits import Limits
from qd_gateway.core.machine import GatewayMachine
from qd_gateway.core.plans import Refusal, StreamPlan, plan_of
from qd_gateway.core.saved import SavedSession, SavedStream
from qd_gateway.core.slots import SLOTS, slot_of
from qd_gateway.errors import SavedStateDamaged
from qd_schemas.codec import encode
from qd_schemas.enums import DataErrorType, DataType, EndReason, Reason, Resolution, UnfinishedBar
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
)
from qd_schemas.wire import NO_COUNT
from support.machines import CLIENT, EPOCH, OTHER, Gateway, Holder, sent, start, tickets

MINE = slot_of(CLIENT)
STOPPING = (DataErrorType.CHANNEL_FAILED, Reason.STOPPING)


def saved_of(gateway: Gateway) -> list[SavedSession]:
    return [one for one in gateway.machine.changes() if isinstance(one, SavedSession)]


def put(machine: GatewayMachine, message: Message, offset: int, version: int = 2) -> list[Action]:
    return machine.on_record(encode(message, version), offset, 0.0)


# --- which slots are served ------------------------------------------------------------------


def test_a_machine_serves_nothing_before_it_owns_slots() -> None:
    machine = GatewayMachine()
    assert put(machine, ClientLogin(CLIENT), 0) == []
    assert machine.others == 1
    machine.own([slot_of(OTHER)], [], EPOCH, 0.0)
    assert put(machine, ClientLogin(CLIENT), 1) == []
    assert len(put(machine, ClientLogin(OTHER), 2)) == 2
    assert machine.others == 2
    assert machine.handled() == {slot_of(OTHER): 2}


def test_what_is_nobodys_request_is_noted_by_every_gateway() -> None:
    (noted,) = GatewayMachine().on_record(b"short", 0, 0.0)
    assert type(noted).__name__ == "Ignored"


def test_a_record_is_handled_once() -> None:
    gateway = Gateway()
    assert len(put(gateway.machine, ClientLogin(CLIENT), 5)) == 2
    for offset in (5, 4):
        assert put(gateway.machine, ClientLogout(CLIENT), offset) == []
    assert gateway.machine.repeated == 2
    assert len(put(gateway.machine, ClientLogout(CLIENT), 6)) == 1


def test_a_record_below_what_its_session_has_seen_is_passed_over() -> None:
    """The slot's offset may be saved less often than the session."""
    machine = GatewayMachine()
    session = SavedSession(CLIENT, 2, 6_000, 0, None, -1, offset=9)
    machine.own(range(SLOTS), [session], EPOCH, 0.0, {MINE: 3})
    for offset in range(4, 10):
        assert put(machine, ClientLogout(CLIENT), offset) == []
    assert machine.repeated == 6
    assert len(put(machine, ClientLogout(CLIENT), 10)) == 1


def test_other_slots_stay_where_they_are_when_one_is_read_again() -> None:
    gateway = Gateway()
    gateway.machine.disown([MINE])
    for offset, message in enumerate([ClientLogin(OTHER), ClientLogout(OTHER)]):
        put(gateway.machine, message, offset)
    gateway.machine.own([MINE], [], EPOCH, 0.0, {MINE: -1})
    assert gateway.machine.handled() == {**dict.fromkeys(range(SLOTS), 1), MINE: -1}
    for offset, message in enumerate([ClientLogin(OTHER), ClientLogout(OTHER)]):
        assert put(gateway.machine, message, offset) == []
    assert gateway.machine.handled() == dict.fromkeys(range(SLOTS), 1)
    assert gateway.machine.session_count == 0


def test_a_topic_that_was_made_anew_is_read_from_its_begin() -> None:
    gateway = Gateway()
    put(gateway.machine, ClientLogin(CLIENT), 1_000)
    gateway.machine.changes()
    gateway.machine.on_new_log()
    assert gateway.machine.handled() == dict.fromkeys(range(SLOTS), -1)
    assert [one.offset for one in saved_of(gateway)] == [-1]
    assert sent(put(gateway.machine, Heartbeat(CLIENT), 0)) == [Heartbeat(CLIENT, EPOCH)]


# --- parking, giving up ----------------------------------------------------------------------


def test_parking_interrupts_streams_in_their_versions_words() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    (two,) = tickets(gateway.send(start(stream=1)))
    gateway.send(start(stream=1, symbol=2))  # waits: the id is taken
    (one,) = tickets(gateway.send(start(kind=DataType.TRADES), 1))
    gateway.send(start(kind=DataType.TRADES), 1)
    gateway.machine.changes()
    actions = gateway.machine.park([MINE])
    (ending,) = saved_of(gateway)
    assert [stream.plan.ticket for stream in ending.streams] == [two]
    assert [action for action in actions if isinstance(action, StopStream | AbortStream)] == [
        StopStream(two, EndReason.INTERRUPTED),
        AbortStream(one),
    ]
    assert sent(actions) == [
        FirstTradeBar(2, 1),
        LastTradeBar(2, 1, EndReason.INTERRUPTED, 0),
        DataError(CLIENT, DataErrorType.CHANNEL_FAILED),
        DataError(CLIENT, DataErrorType.CHANNEL_FAILED),
    ]
    assert gateway.machine.on_stream_ended(one, Refusal(*STOPPING)) == []
    assert gateway.machine.on_stream_ended(two) == []
    (saved,) = saved_of(gateway)
    assert saved.streams == ()


def test_a_stream_that_its_client_stopped_is_not_stopped_again_by_parking() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    gateway.send(start())
    gateway.send(StopAllData(CLIENT, 0))
    assert gateway.machine.park([MINE]) == []


def test_nothing_is_done_for_a_parked_slot() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    gateway.machine.park([MINE])
    handled = gateway.machine.handled()[MINE]
    for message in (Heartbeat(CLIENT), ClientLogin(CLIENT), start(), ClientLogout(CLIENT)):
        assert gateway.send(message) == []
    assert gateway.machine.handled()[MINE] == handled
    assert gateway.machine.on_tick(1e6) == []
    assert gateway.machine.end_client(CLIENT) == []
    assert gateway.machine.end_stream(CLIENT, 1) == []
    assert gateway.machine.session_count == 1


def test_a_slot_that_is_given_up_is_forgotten_without_a_word() -> None:
    gateway = Gateway()
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    (ticket,) = tickets(gateway.send(start()))
    assert gateway.machine.disown([MINE]) == [
        AbortStream(ticket),
        CloseSession(CLIENT, 1, EndCause.MOVED),
    ]
    assert [one.client_id for one in saved_of(gateway)] == [OTHER]
    assert MINE not in gateway.machine.handled()
    gateway.machine.unsaved([CLIENT])
    assert gateway.machine.changes() == []
    assert gateway.machine.on_stream_ended(ticket) == []


def test_a_place_of_a_stream_that_went_is_free_once_its_task_has_ended() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    (ticket,) = tickets(gateway.send(start()))
    gateway.machine.disown([MINE])
    assert [plan.ticket for plan in gateway.machine.running] == [ticket]
    gateway.machine.on_stream_ended(ticket)
    assert gateway.machine.running == ()


def test_what_was_offered_before_it_is_parked_is_not_read_again() -> None:
    gateway = Gateway()
    for offset in range(9):
        put(gateway.machine, Heartbeat(OTHER), offset)
    gateway.machine.park([MINE])
    put(gateway.machine, Heartbeat(OTHER), 9)
    assert gateway.machine.handled() == {**dict.fromkeys(range(SLOTS), 9), MINE: 8}


def test_an_end_in_a_slot_that_was_given_up_is_not_saved() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    gateway.send(ClientLogout(CLIENT))
    gateway.machine.disown([MINE])
    assert gateway.machine.changes() == []


# --- taking over -----------------------------------------------------------------------------


def test_a_session_goes_on_in_another_machine() -> None:
    gateway, holder = Gateway(), Holder()
    gateway.machine.set_keys({CLIENT: holder.key})
    gateway.send(holder.proof())
    gateway.put(holder.sign(start(stream=4)))
    gateway.put(holder.sign(start(stream=4, symbol=2)))
    gateway.put(holder.sign(start(kind=DataType.TRADES), 1))
    saved = [SavedSession.from_json(one.to_json()) for one in saved_of(gateway)]
    assert saved == [one.saved() for one in gateway.machine.sessions]
    machine = GatewayMachine(secret=b"another")
    machine.set_keys({CLIENT: holder.key})
    opened, *told = machine.own(range(SLOTS), saved, EPOCH + 1, 0.0, gateway.machine.handled())
    assert opened == OpenSession(CLIENT, 1, 2, restored=True)
    assert sent(told) == [
        Heartbeat(CLIENT, EPOCH + 1),
        LastTradeBar(1, 4, EndReason.INTERRUPTED, NO_COUNT),
        DataError(CLIENT, DataErrorType.CHANNEL_FAILED),
        LastTradeBar(2, 4, EndReason.INTERRUPTED, NO_COUNT),
    ]
    (change,) = machine.changes()
    assert change == replace(saved[0], streams=())
    old = gateway.machine.handled()[MINE]
    (started,) = machine.on_record(holder.sign(start(stream=5)), old + 1, 0.0)
    assert isinstance(started, StartStream)
    assert started.plan.ticket == 4  # above those that were saved


def test_a_version_1_session_goes_on_without_a_word() -> None:
    saved = SavedSession(CLIENT, 1, 0, 0, None, -1, 3)
    machine = GatewayMachine()
    assert machine.own([MINE], [saved], EPOCH, 0.0) == [OpenSession(CLIENT, 1, 1, restored=True)]
    assert machine.on_tick(1e9) == []


def test_a_lease_begins_anew_with_the_take_over() -> None:
    saved = SavedSession(CLIENT, 2, 1_000, 0, None, -1, 3)
    machine = GatewayMachine()
    machine.own([MINE], [saved], EPOCH, 50.0)
    assert machine.on_tick(50.9) == []
    assert machine.on_tick(51.0) == [CloseSession(CLIENT, 1, EndCause.LEASE_EXPIRED)]


def test_sessions_of_other_slots_are_not_taken() -> None:
    saved = SavedSession(OTHER, 2, 1_000, 0, None, -1, 3)
    assert GatewayMachine().own([MINE], [saved], EPOCH, 0.0) == []


def test_sessions_over_the_limit_are_kept_and_no_more_let_in() -> None:
    gateway = Gateway(Limits(sessions=2))
    saved = [SavedSession(client, 2, 1_000, 0, None, -1, 0) for client in (30, 31, 32)]
    for slot in map(slot_of, (30, 31, 32)):
        gateway.machine.disown([slot])
        gateway.machine.own([slot], saved, EPOCH, 0.0)
    assert gateway.machine.session_count == 3
    (refused,) = sent(gateway.send(ClientLogin(CLIENT)))
    assert isinstance(refused, ClientError)
    assert (refused.reason, refused.limit_value) == (Reason.SESSIONS_FULL, 2)


# --- what is saved ---------------------------------------------------------------------------


def test_since_when_a_session_is_there_outlives_its_gateway() -> None:
    machine = GatewayMachine(began_s=1_000_000.0)
    machine.own(range(SLOTS), [], EPOCH, 0.0)
    machine.on_record(encode(ClientLogin(CLIENT)), 0, 5.9)
    (saved,) = machine.changes()
    assert isinstance(saved, SavedSession)
    assert saved.since_s == 1_000_005
    successor = GatewayMachine(began_s=2_000_000.0)
    successor.own(range(SLOTS), [saved], EPOCH, 0.0)
    assert [one.saved() for one in successor.sessions] == [saved]


def test_a_session_that_an_older_gateway_saved_is_read() -> None:
    saved = json.loads(_saved_text())
    del saved["since_s"]
    assert SavedSession.from_json(json.dumps(saved)).since_s == 0


def test_each_change_is_given_once() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT))
    (session,) = changes = gateway.machine.changes()
    assert session == SavedSession(CLIENT, 2, 6_000, 0, None, -1, 0)
    assert gateway.machine.changes() == []
    gateway.machine.unsaved(changes)
    assert gateway.machine.changes() == [session]
    gateway.send(Heartbeat(CLIENT))
    assert gateway.machine.changes() == []  # nothing that a restart would need
    (ticket,) = tickets(gateway.send(start()))
    assert [(len(one.streams), one.offset) for one in saved_of(gateway)] == [(1, 2)]
    gateway.machine.on_stream_ended(ticket)
    assert [len(one.streams) for one in saved_of(gateway)] == [0]
    gateway.send(ClientLogout(CLIENT))
    assert gateway.machine.changes() == [CLIENT]


def test_a_stream_that_begins_when_another_clients_ends_is_a_change() -> None:
    gateway = Gateway(Limits(running=1))
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    (ticket,) = tickets(gateway.send(start(CLIENT)))
    gateway.send(start(OTHER))
    gateway.machine.changes()
    gateway.machine.on_stream_ended(ticket)
    streams = {one.client_id: one.streams for one in saved_of(gateway)}
    assert streams[CLIENT] == ()
    assert [stream.running for stream in streams[OTHER]] == [True]


def test_what_a_stream_has_sent_is_a_change() -> None:
    gateway = Gateway(Limits(running_per_client=1))
    gateway.send(ClientLogin(CLIENT))
    (ticket,) = tickets(gateway.send(start(stream=1)))
    gateway.send(start(stream=2))  # waits
    gateway.machine.changes()
    gateway.machine.note_sent({ticket: 7, ticket + 1: 1, ticket + 2: 1})
    (saved,) = saved_of(gateway)
    assert [stream.sent for stream in saved.streams] == [7, 0]
    gateway.machine.note_sent({ticket: 7})
    assert gateway.machine.changes() == []
    gateway.send(ClientLogout(CLIENT))
    gateway.machine.changes()
    gateway.machine.note_sent({ticket: 8})
    assert gateway.machine.changes() == []


def test_the_counter_of_signed_requests_is_a_change() -> None:
    gateway, holder = Gateway(), Holder()
    gateway.machine.set_keys({CLIENT: holder.key})
    gateway.send(holder.proof())
    assert [one.counter for one in saved_of(gateway)] == [-1]
    gateway.put(holder.sign(Heartbeat(CLIENT)))
    assert [one.counter for one in saved_of(gateway)] == [1]


plans = st.builds(
    StreamPlan,
    ticket=st.integers(1, 2**40),
    client_id=st.just(CLIENT),
    version=st.sampled_from([1, 2]),
    exchange_id=st.integers(0, 255),
    symbol_id=st.integers(0, 65_535),
    data_type=st.sampled_from(DataType),
    resolution=st.sampled_from(Resolution),
    stream_id=st.integers(0, 2**32 - 1),
    first_sequence=st.integers(1, 2**63 - 1),
    start_time=st.none() | st.integers(0, 2**53),
    end_time=st.none() | st.integers(0, 2**53),
    pace=st.floats(0, allow_infinity=False),
    window_rows=st.integers(0, 2**32 - 1),
    unfinished=st.sampled_from(UnfinishedBar),
)
sessions = st.builds(
    SavedSession,
    client_id=st.integers(21, 65_534),
    version=st.sampled_from([1, 2]),
    lease_ms=st.integers(0, 3_600_000),
    login_id=st.integers(-(2**63), 2**63 - 1),
    key=st.none() | st.binary(min_size=32, max_size=32),
    counter=st.integers(-1, 2**63 - 1),
    offset=st.integers(-1, 2**62),
    streams=st.lists(
        st.builds(SavedStream, plans, st.booleans(), st.integers(0, 2**53)), max_size=3
    ).map(tuple),
    since_s=st.integers(0, 2**40),
)


@given(session=sessions)
def test_a_session_comes_back_from_json_as_it_was(session: SavedSession) -> None:
    assert SavedSession.from_json(session.to_json()) == session


def _saved_text() -> str:
    plan = plan_of(StartData(CLIENT, 1, 1, 1, DataType.OHLCV_EXACT, 5), 2, 1)
    assert isinstance(plan, StreamPlan)
    stream = SavedStream(plan, running=True)
    return SavedSession(CLIENT, 2, 6_000, 1, bytes(32), 3, 4, (stream,)).to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved.pop("offset"),
        lambda saved: saved.update(key="not hexadecimal"),
        lambda saved: saved.update(key=5),
        lambda saved: saved.update(counter=None),
        lambda saved: saved.update(streams=7),
        lambda saved: saved["streams"][0].update(data_type=99),
        lambda saved: saved["streams"][0].pop("symbol_id"),
        lambda saved: saved["streams"][0].pop("running"),
    ],
)
def test_a_damaged_session_is_told(damage: object) -> None:
    saved = json.loads(_saved_text())
    assert callable(damage)
    damage(saved)
    with pytest.raises(SavedStateDamaged, match="a saved session is damaged"):
        SavedSession.from_json(json.dumps(saved))


@pytest.mark.parametrize("text", ["", "nothing", "[]", "5", "null"])
def test_what_is_no_session_is_told(text: str) -> None:
    with pytest.raises(SavedStateDamaged):
        SavedSession.from_json(text)


def test_what_an_older_gateway_did_not_save_has_its_default() -> None:
    saved = json.loads(_saved_text())
    for name in ("window_rows", "unfinished"):
        del saved["streams"][0][name]
    (stream,) = SavedSession.from_json(json.dumps(saved)).streams
    assert (stream.plan.window_rows, stream.plan.unfinished) == (0, UnfinishedBar.INCLUDED)
