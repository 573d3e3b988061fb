"""How often a client may ask, and that no flood costs another client anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qd_gateway.core.actions import IgnoreReason, Reply
from qd_gateway.core.limits import BURST_SECONDS, Limits
from qd_gateway.core.rates import Rate
from qd_schemas.codec import encode
from qd_schemas.enums import Reason
from qd_schemas.messages import (
    ClientLogin,
    ClientLogout,
    Heartbeat,
    LoginProof,
    Message,
    StopData,
    StreamAck,
)
from qd_schemas.specs import LEASE_MS_MIN
from support.machines import CLIENT, OTHER, Gateway, Holder, ignored, reasons, sent, start

STOP = StopData(CLIENT, 1, 1, 1)
FLOOD = 3_000


def flood(gateway: Gateway, message: Message, now: float = 0.0) -> tuple[int, list[Reason]]:
    """How many of very many are passed over, and why others are refused."""
    over, refused = 0, []
    for _ in range(FLOOD):
        actions = gateway.send(message, now=now)
        over += IgnoreReason.TOO_FAST in ignored(actions)
        refused += reasons(actions)
    return over, refused


@given(
    per_second=st.integers(1, 1_000),
    steps=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.5, 10.0]), max_size=200),
)
def test_a_rate_is_kept(per_second: int, steps: list[float]) -> None:
    """In any span of time: no more than its seconds and a burst allow, and no less."""
    rate, now, taken = Rate(per_second), 0.0, []
    for step in steps:
        now += step
        if rate.take(CLIENT, now):
            taken.append(now)
        elif taken:
            since = [at for at in taken if now - at < BURST_SECONDS]
            assert len(since) >= int(per_second * BURST_SECONDS) // 2
    for first, begun in enumerate(taken):
        span = taken[-1] - begun
        # Half a use more: sums of intervals are rounded.
        assert len(taken) - first <= per_second * (span + BURST_SECONDS) + 0.5 + 1e-6
    rate.forget_full(now + BURST_SECONDS)
    assert len(rate) == 0


def test_requests_of_a_session() -> None:
    limits = Limits()
    gateway = Gateway(limits)
    for client in (CLIENT, OTHER):
        gateway.send(ClientLogin(client))
    burst = int(limits.requests_per_second * BURST_SECONDS)
    told = int(limits.refusals_per_second * BURST_SECONDS)
    over, refused = flood(gateway, STOP)
    assert refused == [Reason.TOO_FAST] * told
    assert over == FLOOD - burst - told
    assert sent(gateway.send(Heartbeat(CLIENT)))
    assert len(gateway.send(start(OTHER))) == 1
    assert gateway.send(STOP, now=0.1) == []
    gateway.machine.on_tick(10.0)


def test_heartbeats_that_are_passed_over_keep_the_session() -> None:
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT, 1_000))
    over, refused = flood(gateway, Heartbeat(CLIENT), now=5.0)
    assert (over, refused) == (FLOOD - int(Limits().heartbeats_per_second * BURST_SECONDS), [])
    assert gateway.machine.on_tick(5.9) == []
    assert len(gateway.machine.on_tick(6.0)) == 1


def test_a_normal_client_is_never_slowed_down() -> None:
    """The shortest lease, heartbeats three times as often, and acknowledgements without end."""
    gateway = Gateway()
    gateway.send(ClientLogin(CLIENT, LEASE_MS_MIN))
    gateway.send(start())
    now = 0.0
    for beat in range(300):
        now += LEASE_MS_MIN / 3_000
        assert sent(gateway.send(Heartbeat(CLIENT), now=now))
        for ack in range(100):
            (advanced,) = gateway.send(StreamAck(CLIENT, 1, 2 + beat * 100 + ack), now=now)
            assert advanced.sequence == 2 + beat * 100 + ack  # type: ignore[union-attr]


def test_a_flood_of_a_stranger_is_answered_a_few_times() -> None:
    gateway = Gateway()
    burst = int(Limits().strangers_per_second * BURST_SECONDS)
    over, refused = flood(gateway, Heartbeat(CLIENT))
    assert refused == [Reason.NO_SESSION] * burst
    assert over == FLOOD - burst
    assert len(gateway.send(ClientLogin(OTHER))) == 2
    assert ignored(gateway.send(Heartbeat(CLIENT))) == [IgnoreReason.TOO_FAST]
    assert len(gateway.send(ClientLogin(CLIENT))) == 2  # whoever sent the others in its name


def test_logins_and_logouts_in_turn_are_slowed_down() -> None:
    gateway = Gateway()
    opened = 0
    for _ in range(FLOOD):
        opened += len(gateway.send(ClientLogin(CLIENT), 1)) == 1 and bool(gateway.machine.sessions)
        gateway.send(ClientLogout(CLIENT), 1)
    assert opened <= Limits().strangers_per_second * BURST_SECONDS


def test_a_flood_in_its_name_keeps_no_holder_of_a_token_out() -> None:
    gateway, holder = Gateway(), Holder()
    gateway.machine.set_keys({CLIENT: holder.key})
    flood(gateway, ClientLogin(CLIENT, 0, 66))
    flood(gateway, LoginProof(CLIENT, 0, 66, bytes(32)))
    assert len(gateway.send(holder.proof())) == 2
    flood(gateway, Heartbeat(CLIENT))
    flood(gateway, ClientLogin(CLIENT, 0, 66))
    (beat,) = gateway.put(holder.sign(Heartbeat(CLIENT)))
    assert isinstance(beat, Reply)
    assert gateway.put(holder.sign(STOP)) == []


def test_what_is_remembered_of_a_flood_is_bounded_and_forgotten() -> None:
    """Every id sends once: no more than the buckets of that second are kept."""
    gateway = Gateway()
    for client in range(21, 20_021):
        gateway.put(encode(Heartbeat(client)))
    remembered = gateway.machine.remembered()
    assert remembered == 20_000
    gateway.machine.on_tick(10.0)
    assert gateway.machine.remembered() == 0
