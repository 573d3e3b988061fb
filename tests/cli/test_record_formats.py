"""Records as text, JSON, bytes, hexadecimal and by templates."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli.errors import RequestRefused
from qd_cli.record_formats import (
    Write,
    hex_writer,
    json_lines,
    raw,
    template_writer,
    text_writer,
    time_of,
)
from qd_fluvio import Record

RECORDS = [Record(7, 1_500, b"k", b"v"), Record(8, -1, None, b"\xff\x1b[2J")]


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (text_writer(), b"v\n\xff\x1b[2J\n"),
        (text_writer(safe=True), b"v\n\\xff\\x1b[2J\n"),
        (text_writer(key_value=True), b"[k] v\n[null] \xff\x1b[2J\n"),
        (raw, b"v\xff\x1b[2J"),
        (hex_writer(), b"76\nff1b5b324a\n"),
        (hex_writer(key_value=True), b"[6b] 76\n[null] ff1b5b324a\n"),
        (template_writer("{{offset}}"), b"7\n8\n"),
        (template_writer("{{key}}={{value}};"), b"k=v;\nnull=\xff\x1b[2J;\n"),
        (template_writer("{{ value }}", safe=True), b"v\n\\xff\\x1b[2J\n"),
        (template_writer("{{topic}}-{{partition}} {x}"), b"t-3 {x}\nt-3 {x}\n"),
        (template_writer("{{time}} {{timestamp}}"), b"1970-01-01T00:00:01.5Z 1500\nNA -1\n"),
        (template_writer("plain"), b"plain\nplain\n"),
    ],
)
def test_ways_to_print(write: Write, expected: bytes) -> None:
    assert write("t", 3, RECORDS) == expected


def test_json_objects() -> None:
    first, second = map(json.loads, json_lines("t", 3, RECORDS).splitlines())
    assert first == {
        "topic": "t",
        "partition": 3,
        "offset": 7,
        "time": "1970-01-01T00:00:01.5Z",
        "key": "k",
        "value": "v",
    }
    assert (second["time"], second["key"]) == (None, None)
    assert second["value_base64"] == "/xtbMko="


@pytest.mark.parametrize("name", ["", "nothing", "Key", "key value"])
def test_a_template_names_only_what_a_record_has(name: str) -> None:
    with pytest.raises(RequestRefused, match=r"expected only \{\{key\}\} \{\{value"):
        template_writer(f"{{{{{name}}}}}")


def test_a_time_that_no_calendar_has() -> None:
    assert time_of(Record(0, 2**62, None, b"")) == str(2**62)


@given(st.binary())
def test_nothing_acts_on_a_terminal(value: bytes) -> None:
    shown = text_writer(safe=True)("t", 0, [Record(0, 0, None, value)]).decode()
    assert all(
        character.isprintable() or character in "\n\t" or not character.isascii()
        for character in shown
    )
    assert "\x9b" not in shown
