"""Strategies for what anybody may write on the control topic: requests, and what is none."""

from __future__ import annotations

from hypothesis import strategies as st

from qd_schemas.codec import encode
from qd_schemas.messages import (
    MESSAGES,
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    Message,
    Signed,
    StartData,
    StopAllData,
    StopData,
    StreamAck,
)
from qd_schemas.table import layout_of
from qd_schemas.wire import NO_STREAM, NO_TIME, Kind

REQUESTS = (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    StreamAck,
    StartData,
    StopData,
    StopAllData,
)
OPEN_CLIENTS = (21, 22, 85)  # 85 shares its slot with 21
TOKEN_CLIENTS = (23, 24)
CLIENTS = OPEN_CLIENTS + TOKEN_CLIENTS

any_ids = st.sampled_from([*CLIENTS, *CLIENTS, *CLIENTS, 0, 1, 20, 65_535])
exchanges = st.sampled_from([0, 1, 2])
symbols = st.sampled_from([1, 2])
stream_ids = st.sampled_from([1, 2, 3, NO_STREAM])
data_types = st.sampled_from([1, 2, 3, 4, 0, 9])
paces = st.sampled_from([0.0, 1.0, 1e9, -1.0, float("nan"), float("inf")])
i64 = st.sampled_from([0, 1, 1_000, -5, NO_TIME, -(2**63)])
login_ids = st.sampled_from([0, 1, 2, -3])
leases_ms = st.sampled_from([0, 1, 1_000, 2**32 - 1])


def starts(client_ids: st.SearchStrategy[int], *, damaged: bool) -> st.SearchStrategy[Message]:
    """Requests for streams; many that can be served, unless all are `damaged`."""
    return st.builds(
        StartData,
        client_id=client_ids,
        exchange_id=exchanges,
        symbol_id=symbols,
        time_resolution=st.integers(0, 10) if damaged else st.just(1),
        data_type_id=data_types if damaged else st.sampled_from([1, 2, 3, 4]),
        stream_id=stream_ids if damaged else st.integers(1, 5),
        first_sequence=i64 if damaged else st.sampled_from([0, 1, 7]),
        start_time=i64,
        end_time=i64,
        pace=paces if damaged else st.just(0.0),
        window_rows=st.sampled_from([0, 1, 1_000]),
        unfinished=st.sampled_from([0, 1, 7, 255]),
    )


def in_session(
    client_ids: st.SearchStrategy[int], *, damaged: bool = True
) -> st.SearchStrategy[Message]:
    """Requests that a session is needed for."""
    return st.one_of(
        *([st.builds(ClientLogout, client_ids)] if damaged else []),
        st.builds(Heartbeat, client_ids),
        st.builds(StreamAck, client_ids, stream_ids, i64),
        *[starts(client_ids, damaged=damaged)] * (2 if damaged else 5),
        st.builds(StopData, client_ids, exchanges, symbols, data_types, stream_ids),
        st.builds(StopAllData, client_ids, exchanges),
    )


requests = st.one_of(
    st.builds(ClientLogin, any_ids, leases_ms, login_ids),
    st.builds(ClientLogin, any_ids, leases_ms, login_ids),
    st.builds(LoginProof, any_ids, leases_ms, login_ids, st.binary(min_size=32, max_size=32)),
    in_session(any_ids),
)


@st.composite
def request_bytes(draw: st.DrawFn, messages: st.SearchStrategy[Message] = requests) -> bytes:
    """A well-formed request in one of the versions that have it."""
    request = draw(messages)
    return encode(request, draw(st.sampled_from([1, 2])) if request.SINCE == 1 else 2)


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    """A request that is cut, grown or changed in a few bytes."""
    payload = bytearray(draw(request_bytes()))
    for _ in range(draw(st.integers(0, 3))):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(payload)))
    return bytes(payload[:cut]) + draw(st.binary(max_size=4))


def _any_of(kind: type[Message]) -> Message:
    """A message whose fields do not matter."""
    fields = layout_of(kind).fields
    return kind(*(bytes(32) if field.kind is Kind.B32 else 21 for field in fields))


unasked = st.sampled_from([encode(_any_of(kind)) for kind in MESSAGES if kind not in REQUESTS])
forged = st.builds(
    lambda counter, mac, request: encode(Signed(23, counter, mac)) + request,
    st.sampled_from([0, 1, 9, 2**62]),
    st.binary(min_size=32, max_size=32),
    request_bytes(),
)
garbage = st.one_of(
    st.binary(max_size=64), damaged_bytes(), unasked, forged, st.just(b"\0" * 5_000)
)
