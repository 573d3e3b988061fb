"""From where requests are read again: what nobody handled, but not for ever."""

from __future__ import annotations

import pytest

from qd_gateway.topics.replay import REPLAY_RECORDS_MAX, REPLAY_SECONDS_MAX, is_too_old, replay_of

OLD = REPLAY_SECONDS_MAX + 1
MANY = 5 * REPLAY_RECORDS_MAX


@pytest.mark.parametrize(
    ("saved", "handled", "timed", "restarted"),
    [
        pytest.param({}, {1: 999, 2: 999}, set(), set(), id="never saved"),
        pytest.param({1: (900, 1.0), 2: (1_000, 1.0)}, {1: 899, 2: 999}, set(), set(), id="saved"),
        pytest.param({1: (900, OLD)}, {1: 899, 2: 999}, {1}, set(), id="long ago"),
        pytest.param({2: (1_040, 0.0)}, {1: 999, 2: 1_039}, set(), set(), id="ahead of here"),
        pytest.param({1: (1_051, 0.0)}, {1: -1, 2: 999}, {1}, {1}, id="of another topic"),
        pytest.param({1: (0, 0.0)}, {1: -1, 2: 999}, set(), set(), id="nothing handled yet"),
    ],
)
def test_where_slots_go_on(
    saved: dict[int, tuple[int, float]],
    handled: dict[int, int],
    timed: set[int],
    restarted: set[int],
) -> None:
    replay = replay_of([1, 2], saved, 1_000, 1_050)
    assert replay.handled == handled
    assert (set(replay.timed), set(replay.restarted)) == (timed, restarted)
    assert replay.begin == min(handled.values()) + 1


def test_no_more_records_than_can_be_read_in_a_moment() -> None:
    replay = replay_of([1], {1: (5, 2.0)}, MANY, MANY)
    assert replay.begin == MANY - REPLAY_RECORDS_MAX


@pytest.mark.parametrize(
    ("timestamp_ms", "expected"),
    [(-1, False), (0, True), (39_999, True), (40_000, False), (200_000, False)],
)
def test_what_is_too_old(timestamp_ms: int, expected: bool) -> None:
    assert is_too_old(timestamp_ms, 100_000.0) is expected
