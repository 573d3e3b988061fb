"""How values are written for people and scripts."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli import console
from qd_cli.errors import OutputClosed
from support.terminal import on_terminal


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_317_124_769_000_000, "2011-09-27T11:59:29Z"),
        (1_500_000, "1970-01-01T00:00:01.5Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
    ],
)
def test_times(microseconds: int, text: str) -> None:
    assert console.iso_time(microseconds) == text
    assert console.parse_time(text) == microseconds


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (1000, "1,000 rows")])
def test_counts_of_something(number: int, text: str) -> None:
    assert console.count(number, "row") == text


@pytest.mark.parametrize("tell", [console.say, console.out])
def test_a_stream_that_nobody_reads_ends_the_command(
    tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unread(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Unread())
    with pytest.raises(OutputClosed):
        tell("something")


def test_a_time_without_a_zone_is_utc() -> None:
    assert console.parse_time("2013-01-01") == console.parse_time("2013-01-01T00:00:00Z")
    assert console.parse_time("2013-01-01T02:00+02:00") == console.parse_time("2013-01-01")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact_and_plain(value: float) -> None:
    text = console.number(value)
    assert float(text) == value
    assert "e" not in text


@pytest.mark.parametrize(
    ("value", "text"), [(5.01359, "5.01359"), (1e-8, "0.00000001"), (6800.0, "6800")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert console.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 rows/s"), (950.0, "950 rows/s"), (1_500.0, "1.5 k rows/s"), (2.5e6, "2.50 M rows/s")],
)
def test_rates(value: float, text: str) -> None:
    assert console.rate(value, "rows") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (1.25, "1.2s"),
        (59.0, "59s"),
        (60.0, "1m"),
        (61.0, "1m 1s"),
        (3_600.0, "1h"),
        (86_400.0, "1d"),
        (90_000.0, "1d 1h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert console.duration(seconds) == text


def test_json_has_no_nan() -> None:
    line = console.json_line({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": "é"}})
    assert json.loads(line) == {"a": None, "b": [None, 1.5], "c": {"d": "é"}}


@pytest.mark.parametrize("columns", ["20", "60", "200"])
def test_a_table_on_a_terminal_of_any_width_cuts_no_cell(columns: str) -> None:
    cells = ["a-topic-with-a-long-name", "1234567", "default"]
    code = (
        "from qd_cli.console import print_table; "
        f"print_table(('TOPIC', 'PARTITIONS', 'COMPRESSION'), [{cells}], right=('PARTITIONS',)); "
        "print('end')"
    )
    with on_terminal(["-c", code], {"COLUMNS": columns}) as terminal:
        terminal.until("end")
        assert terminal.wait() == 0
    for cell in cells:
        assert cell.encode() in terminal.screen
