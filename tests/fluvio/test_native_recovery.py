"""How long a native consumer tries to come back, by a clock that stands still."""

from __future__ import annotations

from qd_fluvio.native.recovery import RETRY_SECONDS_FIRST, SOUND_SECONDS, Recovery


class Clock:
    """A time that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_tries_come_further_and_further_apart_and_end() -> None:
    clock = Clock()
    recovery = Recovery(10, clock)
    waits = []
    while (wait := recovery.failed()) is not None:
        waits.append(wait)
        clock.now += wait
    assert waits[:5] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert set(waits[5:]) == {1.0}
    assert 109 <= clock.now <= 110


def test_tries_that_take_long_come_to_an_end() -> None:
    """A cluster that hangs lets each try take its whole deadline."""
    clock = Clock()
    recovery = Recovery(10, clock)
    assert recovery.failed() == RETRY_SECONDS_FIRST
    clock.now += 2 * SOUND_SECONDS
    assert recovery.failed() is None


def test_what_ends_a_sound_stream_is_a_new_failure() -> None:
    clock = Clock()
    recovery = Recovery(3, clock)
    for _ in range(5):
        assert recovery.failed() == RETRY_SECONDS_FIRST
        recovery.opened()
        clock.now += SOUND_SECONDS + 1


def test_a_stream_that_brings_nothing_was_not_sound() -> None:
    clock = Clock()
    recovery = Recovery(10, clock)
    assert recovery.failed(silent=True) == RETRY_SECONDS_FIRST
    recovery.opened()
    clock.now += 10
    assert recovery.failed(silent=True) is None


def test_all_is_well_again() -> None:
    clock = Clock()
    recovery = Recovery(10, clock)
    assert recovery.failed() is not None
    recovery.opened()
    recovery.well()
    clock.now += 1000
    assert recovery.failed(silent=True) == RETRY_SECONDS_FIRST
