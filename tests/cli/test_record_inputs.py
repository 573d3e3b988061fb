"""From input to records: the same whatever the chunks are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli.errors import FileBroken
from qd_cli.record_formats import json_lines
from qd_cli.record_inputs import Input, Lines, Parse, Whole, from_json, plain, separated
from qd_fluvio import RECORD_BYTES_MAX, Record

Pairs = list[tuple[bytes | None, bytes]]


def read(records: Input, chunks: list[bytes]) -> Pairs:
    found = [records.feed(chunk) for chunk in chunks] + [records.end()]
    for error in (part.error for part in found if part.error):
        raise error
    return [pair for part in found for pair in zip(part.keys, part.values, strict=True)]


@pytest.mark.parametrize(
    ("parse", "text", "pairs"),
    [
        (plain(None), b"", []),
        (plain(None), b"a\nb\n", [(None, b"a"), (None, b"b")]),
        (plain(None), b"a\nb", [(None, b"a"), (None, b"b")]),
        (plain(None), b"a\r\n\r\n\n", [(None, b"a"), (None, b""), (None, b"")]),
        (plain(b"k"), b"a\n", [(b"k", b"a")]),
        (plain(None), b"\xff\x00\n", [(None, b"\xff\x00")]),
        (separated(b","), b"k,v,w\n,x\ny,\n", [(b"k", b"v,w"), (b"", b"x"), (b"y", b"")]),
        (separated(b"::"), b"a::b\n", [(b"a", b"b")]),
        (from_json, b'{"value": "v"}\n', [(None, b"v")]),
        (from_json, b'{"key": "k", "value": "v", "offset": 3}\n', [(b"k", b"v")]),
        (from_json, b'{"key": null, "value_base64": "/wA="}\n', [(None, b"\xff\x00")]),
    ],
)
def test_lines(parse: Parse, text: bytes, pairs: Pairs) -> None:
    assert read(Lines(parse), [text]) == pairs
    assert read(Lines(parse), [text[i : i + 1] for i in range(len(text))]) == pairs


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (separated(b","), b"a,b\nc\n", "line 2 has no ','"),
        (from_json, b"{}\n", "line 1 is no record in JSON (it has neither value"),
        (from_json, b"3\n", "it is no object"),
        (from_json, b'{"value": 3}\n', "its value is int, not a text"),
        (from_json, b'{"value_base64": "?"}\n', "its value_base64 is not base64"),
        (from_json, b"{\n", "line 1 is no record in JSON"),
        (from_json, b"[" * 100_000 + b"\n", "line 1 is no record in JSON"),
        (plain(None), b"a\n" + b"b" * (RECORD_BYTES_MAX + 1), "line 2 has more than"),
    ],
)
def test_an_error_names_the_line(parse: Parse, text: bytes, says: str) -> None:
    with pytest.raises(FileBroken) as caught:
        read(Lines(parse), [text])
    assert says in str(caught.value)


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines = Lines(plain(None), line_bytes_max=10)
    lines.feed(b"0123456789")
    assert "line 1 has more than 10 bytes" in str(lines.feed(b"x").error)


def test_what_is_before_an_error_is_not_lost() -> None:
    found = Lines(separated(b",")).feed(b"a,1\nb,2\nc\nd,4\n")
    assert (found.keys, found.values) == ([b"a", b"b"], [b"1", b"2"])
    assert "line 3" in str(found.error)


def test_everything_as_one_record() -> None:
    assert read(Whole(), [b"a\n", b"\x00b"]) == [(None, b"a\n\x00b")]
    assert read(Whole(b"k"), []) == [(b"k", b"")]
    too_much = Whole().feed(b"x" * (RECORD_BYTES_MAX + 1))
    assert "which no record may have" in str(too_much.error)


@given(st.binary(), st.none() | st.binary())
def test_what_consume_writes_as_json_is_read_back(value: bytes, key: bytes | None) -> None:
    line = json_lines("t", 0, [Record(0, -1, key, value)])
    json.loads(line)
    assert read(Lines(from_json, 1_000_000), [line]) == [(key, value)]
