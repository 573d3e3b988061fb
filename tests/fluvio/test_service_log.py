"""A flood of log lines is cut, and said to be."""

from __future__ import annotations

import logging

from qd_fluvio.service import LOG_LINES_PER_SECOND_MAX, FloodFilter


def line(second: float, level: int = logging.INFO) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"created": second, "levelno": level, "msg": "client=%d", "args": (21,)}
    )


def test_lines_over_the_limit_of_a_second_are_counted() -> None:
    flood = FloodFilter()
    passed = [flood.filter(line(5.0)) for _ in range(LOG_LINES_PER_SECOND_MAX + 7)]
    assert passed == [True] * LOG_LINES_PER_SECOND_MAX + [False] * 7
    later = line(6.1)
    assert flood.filter(later)
    assert later.getMessage() == "client=21 (7 lines before it left out)"
    again = line(6.2)
    assert flood.filter(again)
    assert again.getMessage() == "client=21"


def test_errors_always_pass() -> None:
    flood = FloodFilter()
    for _ in range(LOG_LINES_PER_SECOND_MAX + 1):
        flood.filter(line(5.0))
    error = line(5.0, logging.ERROR)
    assert flood.filter(error)
    assert error.getMessage() == "client=21 (1 lines before it left out)"
