"""What anybody can cause often costs a few lines of the log, and one that sums up."""

from __future__ import annotations

from qd_gateway.topics.dispatch import FewLines


def test_a_flood_costs_a_few_lines_and_one_about_the_rest() -> None:
    lines: list[str] = []
    few = FewLines(lambda text, *args, **_: lines.append(text % args), "ignored", 2)
    for number in range(5):
        few.add("garbage" if number else "late", "no. %d", number)
    assert lines == ["no. 0", "no. 1"]
    few.on_tick(1.0)
    assert lines[2:] == ["ignored: 3 more; in all {'late': 1, 'garbage': 4}"]
    few.add("late", "no. %d", 5)
    few.on_tick(1.9)  # the same second
    few.on_tick(2.0)
    assert lines[3:] == ["no. 5"]
