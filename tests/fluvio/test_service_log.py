"""Log lines: fields in both formats, one line an event, and a flood that is cut."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio.logs import (
    LOG_LINES_PER_SECOND_MAX,
    FieldLogger,
    FloodFilter,
    JsonFormatter,
    TextFormatter,
)

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Kept(logging.Handler):
    """Keeps its lines."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.Logger("qd_test.part")
    yield found
    found.handlers.clear()


def lines_of(logger: logging.Logger, formatter: logging.Formatter) -> list[str]:
    kept = Kept(formatter)
    logger.addHandler(kept)
    return kept.lines


def test_a_line_of_text(logger: logging.Logger) -> None:
    lines = lines_of(logger, TextFormatter())
    log = FieldLogger(logger).bind(client=21, session=3)
    log.info("stream %s", "ended", rows=5, seconds=0.25, cause="end of day", empty="")
    assert re.fullmatch(
        f"{TIME} INFO qd_test.part stream ended client=21 session=3 rows=5 seconds=0.25 "
        'cause="end of day" empty=""',
        lines[0],
    )
    logger.warning("no fields")
    assert re.fullmatch(f"{TIME} WARNING qd_test.part no fields", lines[1])


def test_a_line_of_json(logger: logging.Logger) -> None:
    lines = lines_of(logger, JsonFormatter())
    log = FieldLogger(logger, {"client": 21})
    log.bind(session=3, level=9).info("stream %s", "ended", rate=0.5, why=None, odd={1})
    found = json.loads(lines[0])
    assert re.fullmatch(TIME, found.pop("time"))
    assert found == {
        "level": "info",
        "logger": "qd_test.part",
        "event": "stream ended",
        "client": 21,
        "session": 3,
        "rate": 0.5,
        "why": None,
        "level_": 9,
        "odd": "{1}",
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_is_within_its_line(
    logger: logging.Logger, formatter: logging.Formatter
) -> None:
    lines = lines_of(logger, formatter)
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        FieldLogger(logger).exception("failed\nbadly", client=21)
    assert len(lines[0].splitlines()) == 1
    assert "Traceback" in lines[0]
    assert "client" in lines[0]
    if isinstance(formatter, JsonFormatter):
        found = json.loads(lines[0])
        assert (found["event"], found["client"]) == ("failed\nbadly", 21)
        assert found["traceback"].endswith("ValueError: one\ntwo")


VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.binary())


@given(st.text(), st.dictionaries(st.from_regex("[a-z_]{1,9}", fullmatch=True), VALUES))
def test_any_event_with_any_fields_is_one_line(text: str, fields: dict[str, Any]) -> None:
    logger = logging.Logger("qd_test")
    as_json, as_text = lines_of(logger, JsonFormatter()), lines_of(logger, TextFormatter())
    FieldLogger(logger, fields).info("%s", text)
    found = json.loads(as_json[0], parse_constant=pytest.fail)
    assert found["event"] == text
    assert len(found) == 4 + len(fields)
    assert "\n" not in as_json[0] + as_text[0]


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


PROGRAM = """
import sys
from qd_fluvio.logs import field_logger
from qd_fluvio.service import run

async def main():
    field_logger("part").info("hello", client=21)
    field_logger("part").debug("details")

sys.exit(run("service", main))
"""


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({"QD_LOG_FORMAT": "json"}, 0, '"level": "info", "logger": "part", "event": "hello", "c'),
        ({"QD_LOG_LEVEL": "DEBUG"}, 0, "DEBUG part details"),
        ({"QD_LOGLEVEL": "debug"}, 0, "WARNING service QD_LOGLEVEL is set, but no "),
        ({}, 0, "INFO part hello client=21"),
        ({"QD_LOG_FORMAT": "xml"}, 1, "QD_LOG_FORMAT is 'xml'; expected text or json"),
    ],
)
def test_a_service_logs_as_it_is_set(env: dict[str, str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
