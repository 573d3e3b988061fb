"""Processors over single records: what the decorators make, and what they refuse to make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qd_fluvio import Record
from qd_fluvio import processors as p
from qd_schemas.codec import encode
from qd_schemas.messages import Message, TradeBar
from support.processors import json_values, records_of

Failures = list[p.Failure]


def run(processor: p.Processor, *values: object, failures: Failures | None = None) -> list[Any]:
    records = [json.dumps(value).encode() for value in values]
    return [json.loads(found.value) for found in processor.run(records, failures=failures)]


def test_bytes_are_the_default() -> None:
    @p.filter
    def short(value: bytes) -> bool:
        """Short ones."""
        return len(value) < 3

    assert [record.value for record in short.run([b"1", b"123", b""])] == [b"1", b""]
    assert (short.name, short.about, short.steps[0].kind) == ("short", "Short ones.", "filter")
    assert short(b"1") is True  # the function itself, for tests of it


@pytest.mark.parametrize(
    ("codec", "value", "given", "back"),
    [
        (p.BYTES, b"\xff", b"\xff", b"\xff"),
        (p.TEXT, "grün".encode(), "grün", "grün".encode()),
        (p.JSON, b'{"a": [1, null]}', {"a": [1, None]}, b'{"a":[1,null]}'),
        (
            p.SBE,
            encode(TradeBar(1, 2, 0.5, 4.0)),
            TradeBar(1, 2, 0.5, 4.0),
            encode(TradeBar(1, 2, 0.5, 4.0)),
        ),
    ],
    ids=["bytes", "text", "json", "sbe"],
)
def test_codecs(codec: p.Codec[Any], value: bytes, given: object, back: bytes) -> None:
    seen = []

    @p.map(codec)
    def same(found: Any) -> Any:
        seen.append(found)
        return found

    assert [record.value for record in same.run([value])] == [back]
    assert seen == [given]


def test_a_whole_record_can_be_had() -> None:
    @p.map(p.RECORD, out=p.TEXT)
    def described(record: Record) -> str:
        return f"{record.offset} {record.timestamp_ms} {record.key!r}"

    records = [Record(7, 99, b"k", b"v")]
    assert described.run(records) == [Record(7, 99, b"k", b"7 99 b'k'")]


def test_keys_stay_where_one_record_becomes_one() -> None:
    same = p.map(p.JSON)(lambda value: value)
    many = p.array_map(p.JSON)(lambda value: [value, value])
    record = Record(0, 0, b"key", b"1")
    assert [found.key for found in same.run([record])] == [b"key"]
    assert [found.key for found in many.run([record])] == [None, None]
    stamped = record._replace(key=p.Source("other", "topic", 0).stamp(p.Place(1, 2)))
    assert [found.key for found in same.run([stamped])] == [None]


def test_keys_and_topics_can_be_chosen() -> None:
    chosen = p.map(p.JSON)(lambda value: p.Out(value, key=b"k", topic="there"))
    (item,) = chosen.items([b"1"])
    assert (item.key, item.topic, item.value) == (b"k", "there", b"1")


def test_array_map_and_filter_map() -> None:
    assert run(p.array_map(p.JSON)(lambda n: range(n)), 2, 0, 3) == [0, 1, 0, 1, 2]
    assert run(p.filter_map(p.JSON)(lambda n: n * 2 if n > 1 else None), 1, 2, 3) == [4, 6]


def test_dispatch_to_none_one_and_several() -> None:
    topics = {1: None, 2: "two", 3: ["two", "three"], 4: []}
    spread = p.dispatch(p.JSON)(lambda n: topics[n])
    found = [(item.value, item.topic) for item in spread.items([b"1", b"2", b"3", b"4"])]
    assert found == [(b"1", None), (b"2", "two"), (b"3", "two"), (b"3", "three")]


def test_aggregates_by_key() -> None:
    total = p.aggregate(p.JSON, initial=0, key=lambda v: v[0])(lambda sum, v: sum + v[1])
    assert run(total, ["a", 1], ["b", 5], ["a", 2]) == [
        {"key": "a", "value": 1},
        {"key": "b", "value": 5},
        {"key": "a", "value": 3},
    ]


def test_a_function_that_changes_its_accumulator_and_fails_changes_nothing() -> None:
    @p.aggregate(p.JSON, initial=[])
    def gathered(state: list[int], value: int) -> list[int]:
        state.append(value)
        if value == 2:
            raise ValueError("two")
        return state

    failures: Failures = []
    assert run(gathered, 1, 2, 3, failures=failures) == [[1], [1, 3]]
    assert [failure.reason for failure in failures] == ["ValueError: two"]
    assert run(gathered, 1) == [[1]]  # the initial value is as it was


def test_deduplication_by_count() -> None:
    once = p.deduplicate(p.JSON, count=2)(lambda value: value)
    assert run(once, 1, 1, 2, 1, 3, 1, 3) == [1, 2, 3, 1]


def test_deduplication_by_age() -> None:
    once = p.deduplicate(p.BYTES, count=100, age="2s")(lambda value: value)
    found = once.run(records_of([b"a", b"a", b"a", b"a", b"b", b"a"]))  # a second apart
    assert [record.offset for record in found] == [0, 3, 4]


def test_windows_close_when_the_watermark_says_so() -> None:
    @p.window(p.JSON, every="10s", lateness="5s", initial=0, time=lambda v: v * 1_000_000)
    def count(so_far: int, value: int) -> int:
        return so_far + 1

    failures: Failures = []
    records = [json.dumps(second).encode() for second in (1, 9, 14, 8, 15, 9, 31)]
    found = count.run(records, failures=failures)
    given = [(record.offset, json.loads(record.value)) for record in found]
    assert given == [
        (4, {"start": 0, "end": 10_000_000, "value": 3}),  # 15 s less 5 s of lateness
        (6, {"start": 10_000_000, "end": 20_000_000, "value": 2}),
    ]
    (late,) = failures
    assert late.item.origin == 5
    assert "late: its time 9000000 is before the watermark 10000000" in late.reason
    rest = [json.loads(record.value) for record in count.run(records[:2], finish=True)]
    assert rest == [{"start": 0, "end": 10_000_000, "value": 2}]


def test_windows_by_key_with_a_result_of_their_own() -> None:
    last = p.window(
        p.JSON,
        every="1s",
        initial=None,
        time=lambda v: v["t"],
        key=lambda v: v["k"],
        result=lambda window: [window.key, window.start, window.value],
    )(lambda _, value: value["x"])
    values = [{"t": t, "k": k, "x": x} for t, k, x in ((5, "a", 1), (6, "b", 2), (7, "a", 3))]
    values.append({"t": 1_000_000, "k": "c", "x": 4})
    assert run(last, *values) == [["a", 0, 3], ["b", 0, 2]]


def test_times_before_the_epoch_have_windows() -> None:
    count = p.window(p.JSON, every="1s", initial=0, time=lambda v: v)(lambda n, _: n + 1)
    assert run(count, -1, 0)[0]["start"] == -1_000_000


@pytest.mark.parametrize(
    ("processor", "value", "reason"),
    [
        (p.filter(p.JSON)(lambda v: v), b"3", "returned 3 (int); expected True or False"),
        (p.filter(p.JSON)(lambda v: True), b"{", "JSONDecodeError"),
        (p.filter(p.TEXT)(lambda v: True), b"\xff", "UnicodeDecodeError"),
        (p.filter(p.SBE)(lambda v: True), b"123", "header of 8 was expected"),
        (p.map(p.BYTES)(lambda v: "text"), b"", "'text' (str) where bytes were expected"),
        (p.map(p.TEXT)(lambda v: 1), b"", "1 (int) where text was expected"),
        (p.map(p.JSON)(lambda v: float("nan")), b"1", "not JSON compliant"),
        (p.map(p.JSON)(lambda v: {1, 2}), b"1", "cannot be written as JSON"),
        (p.map(p.SBE)(lambda v: v), b"\0", "DecodeError"),
        (p.map(p.JSON)(lambda v: p.Out(1, key="k")), b"1", "Out.key is 'k'; expected bytes"),  # type: ignore[arg-type]
        (p.map(p.JSON)(lambda v: p.Out(1, topic="A b")), b"1", "topic 'A b'; expected at most 63"),
        (p.array_map(p.JSON)(lambda v: "text"), b"1", "returned str; expected a list"),
        (p.array_map(p.JSON)(lambda v: v), b"1", "returned int; expected a list"),
        (p.dispatch(p.JSON)(lambda v: "-x"), b"1", "none of these first or last"),
        (p.dispatch(p.JSON)(lambda v: v), b"1", "topic 1; expected"),
        (p.map(p.JSON)(lambda v: 1 / 0), b"1", "ZeroDivisionError: division by zero"),
        (
            p.window(p.JSON, every="1s", initial=0, time=lambda v: 0.5)(lambda n, v: n),  # type: ignore[arg-type, return-value]
            b"1",
            "event time is 0.5; expected whole microseconds",
        ),
    ],
)
def test_records_that_fail(processor: p.Processor, value: bytes, reason: str) -> None:
    failures: Failures = []
    assert processor.run([value], failures=failures) == []
    assert reason in failures[0].reason
    assert failures[0].item.value == value
    with pytest.raises(p.RecordFailed, match="record 0 failed in"):
        processor.run([value])


def two(first: object, second: object) -> bool:
    return True


def text(value: str) -> bool:
    return True


def number(value: bytes) -> int:
    return 1


async def later(value: bytes) -> bool:
    return True


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: p.filter(3), "@filter was given 3; expected a codec"),  # type: ignore[call-overload]
        (lambda: p.filter(p.JSON)(3), "@filter on 3; expected a function of 1 argument (value)"),  # type: ignore[arg-type]
        (lambda: p.filter(p.JSON)(two), "@filter two(first: 'object', second: 'object') -> 'bool'"),  # type: ignore[arg-type]
        (lambda: p.filter(text), "@filter text takes str, but BYTES gives bytes: change"),  # type: ignore[arg-type]
        (lambda: p.filter(number), "@filter number returns int; expected bool"),  # type: ignore[arg-type]
        (lambda: p.filter(later), "@filter later is async; expected a plain function"),  # type: ignore[arg-type]
        (lambda: p.filter(p.TRADES)(text), "takes str, but TRADES gives ndarray"),  # type: ignore[arg-type]
        (lambda: p.map(p.JSON, out=p.TRADES)(text), "expected BYTES, TEXT, JSON or SBE"),  # type: ignore[call-overload]
        (
            lambda: p.aggregate(p.JSON, initial=0)(text),
            "function of 2 arguments (accumulator, value)",
        ),
        (
            lambda: p.aggregate(p.JSON, initial={1, 2}),
            "@aggregate: initial: a state that holds {1, 2}",
        ),
        (lambda: p.aggregate(p.JSON, initial=0, key=two), "@aggregate key two"),  # type: ignore[arg-type]
        (lambda: p.deduplicate(p.JSON, count=0), "count is 0; expected 1 to 1000000"),
        (
            lambda: p.deduplicate(p.JSON, count=5, age="soon"),
            "age is 'soon'; expected a whole number",
        ),
        (lambda: p.window(p.JSON, every="0s", initial=0), "every is '0s'; expected"),
        (lambda: p.window(p.JSON, every="1w", initial=0), "such as 30s or 1m"),
        (
            lambda: p.window(p.TRADES, every="1m", initial=0, key=number),
            "takes neither time nor key",
        ),
        (lambda: p.chain(), "a chain of 0 steps; expected 1 to 32"),
        (lambda: p.chain(3), "chain was given 3; expected processors"),  # type: ignore[arg-type]
        (
            lambda: p.chain(p.filter(two_ok), p.map(p.JSON)(lambda v: v))(b""),
            "is no single function",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(make: Callable[[], object], says: str) -> None:
    with pytest.raises(p.BadProcessor) as found:
        make()
    assert says in str(found.value)


def two_ok(value: bytes) -> bool:
    return True


def test_a_function_may_take_one_kind_of_message() -> None:
    @p.filter(p.SBE)
    def trade(message: TradeBar) -> bool:
        return message.price > 1

    @p.filter(p.SBE)
    def any_message(message: Message) -> bool:
        return True

    values = [encode(TradeBar(1, 2, price, 1.0)) for price in (0.5, 2.0)]
    assert [record.value for record in p.chain(any_message, trade).run(values)] == values[1:]


def test_a_chain_is_what_its_processors_do_one_after_the_other() -> None:
    double = p.map(p.JSON, out=p.TEXT)(lambda value: str(value * 2))
    long = p.filter(p.TEXT)(lambda value: len(value) > 1)
    both = p.chain(double, long, name="both")
    assert [record.value for record in both.run([b"1", b"7", b"50"])] == [b"14", b"100"]
    assert both.name == "both"
    assert p.chain(long) is long


def test_input_may_be_any_iterable() -> None:
    even = p.filter(p.JSON)(lambda value: value["x"] % 2 == 0)
    failures: Failures = []
    assert len(even.run(iter(json_values()), failures=failures)) > 10
    assert len(failures) == 1
