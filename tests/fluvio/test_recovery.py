"""How long a consumer tries to come back, by a clock that stands still."""

from __future__ import annotations

import pytest

from qd_fluvio.errors import ConnectionLost, FluvioError, WireError
from qd_fluvio.recovery import RETRY_SECONDS_FIRST, SOUND_SECONDS, Recovery

BROKEN = ConnectionLost("the socket closed")


class Clock:
    """A time that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_tries_come_further_and_further_apart_and_end(clock: Clock) -> None:
    recovery = Recovery("partition 0", 10, clock)
    waits: list[float] = []

    def fail_for_ever() -> None:
        while True:
            waits.append(recovery.failed(BROKEN, 7))
            clock.now += waits[-1]

    with pytest.raises(ConnectionLost, match=r"partition 0: lost .* 7 .* within 10 s: the socket"):
        fail_for_ever()
    assert waits[:5] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert set(waits[5:]) == {1.0}
    assert 109 <= clock.now <= 110


@pytest.mark.parametrize("cause", [BROKEN, WireError("no message")])
def test_tries_that_take_long_come_to_an_end(cause: FluvioError, clock: Clock) -> None:
    """A cluster that hangs lets each try take its whole deadline."""
    recovery = Recovery("partition 0", 10, clock)
    assert recovery.failed(cause, 0) == RETRY_SECONDS_FIRST
    clock.now += 2 * SOUND_SECONDS
    with pytest.raises(type(cause), match=str(cause)):
        recovery.failed(cause, 0)


def test_what_ends_a_sound_stream_is_a_new_failure(clock: Clock) -> None:
    recovery = Recovery("partition 0", 3, clock)
    for _ in range(5):
        assert recovery.failed(BROKEN, 0) == RETRY_SECONDS_FIRST
        recovery.opened()
        clock.now += SOUND_SECONDS + 1


def test_a_stream_that_brings_nothing_was_not_sound(clock: Clock) -> None:
    recovery = Recovery("partition 0", 10, clock)
    assert recovery.failed(BROKEN, 0, silent=True) == RETRY_SECONDS_FIRST
    recovery.opened()
    clock.now += 10
    with pytest.raises(ConnectionLost):
        recovery.failed(BROKEN, 0, silent=True)


def test_all_is_well_again(clock: Clock) -> None:
    recovery = Recovery("partition 0", 10, clock)
    recovery.failed(BROKEN, 0)
    recovery.opened()
    recovery.well()
    clock.now += 1000
    assert recovery.failed(BROKEN, 0, silent=True) == RETRY_SECONDS_FIRST
