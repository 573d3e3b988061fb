"""States as bytes and back: what is kept, what is refused, which checkpoint counts."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_fluvio import Record
from qd_fluvio import processors as p
from qd_fluvio.processors import plain
from qd_fluvio.processors.checkpoint import (
    PART_BYTES,
    PARTS_MAX,
    Checkpoint,
    Written,
    decode,
    encode,
    newest_whole,
    parts_of,
    read_part,
)
from qd_fluvio.processors.repeats import Tail
from qd_fluvio.processors.runner.slices import BYTES_MAX, RECORDS_MAX, Slices
from qd_fluvio.processors.stamps import read_stamp, users_key
from qd_schemas.arrays import BAR

SOURCE = p.Source("id", "in", 3)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(ATOMS | st.tuples(ATOMS, ATOMS), inner)
    ),
    max_leaves=20,
)


def typed(value: Any) -> Any:
    """A value with its types, since 1 == True == 1.0."""
    if isinstance(value, list | tuple):
        return (type(value), [typed(item) for item in value])
    if isinstance(value, dict):
        return (dict, [(typed(key), typed(item)) for key, item in value.items()])
    return (type(value), value)


@given(VALUES)
def test_values_come_back_with_their_types(value: Any) -> None:
    assert typed(plain.decode(plain.encode(value))) == typed(value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([(1, 1.0, 2.0, 0.5, float("nan"), 9.0)], BAR),
        np.empty(0, BAR),
        np.arange(6, dtype="<i4").reshape(2, 3)[:, ::2],
        np.array(["a", "bc"]),
        np.array(2.5),
    ],
)
def test_arrays_come_back(array: Any) -> None:
    found = plain.decode(plain.encode({"rows": array}))["rows"]
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    found[...] = found  # it can be changed


def test_numbers_of_numpy_become_plain() -> None:
    found = plain.decode(plain.encode([np.int64(3), np.float64(0.1), np.bool_(True)]))
    assert typed(found) == typed([3, 0.1, True])


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize("value", [{1}, object(), Colour.RED, np.array([object()]), 1j])
def test_what_cannot_be_kept_is_refused(value: object) -> None:
    with pytest.raises(p.BadProcessor, match="a state"):
        plain.encode([value])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"x":1}', b'{"a":[]}', b'{"t":1}', b'{"a":[[["","O"]],[1],""]}', b"[" * 9999],
)
def test_bytes_that_are_no_state(data: bytes) -> None:
    with pytest.raises(p.StateUnusable, match="delete the processor's state topic"):
        plain.decode(data)


def checkpoint(next_offset: int, *, state: bytes = b"") -> Checkpoint:
    written = {"out": Written(7, p.Place(5, 1)), "other": Written(0)}
    return Checkpoint(SOURCE, ("a", "b"), next_offset, (4, 99), (state, b"two"), written)


@given(st.integers(0), st.binary())
def test_checkpoints_come_back(next_offset: int, state: bytes) -> None:
    made = checkpoint(next_offset, state=state)
    assert decode(encode(made)) == made


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}\n", b"[]\n", encode(checkpoint(1)) + b"x", b"[" * 99_999),
        encode(checkpoint(1)).replace(b"[4, 99]", b"[4]").replace(b"[4,99]", b"[4]"),
    ],
)
def test_bytes_that_are_no_checkpoint(data: bytes) -> None:
    with pytest.raises(p.StateUnusable, match="no checkpoint"):
        decode(data)


def parts(next_offset: int, number: int, size: int) -> list[bytes]:
    return parts_of(encode(checkpoint(next_offset, state=b"s" * size)), number)


def test_the_newest_whole_checkpoint_counts() -> None:
    one, two, three = parts(1, 1, 10), parts(2, 2, 2 * PART_BYTES), parts(3, 3, 2 * PART_BYTES)
    assert (len(one), len(two)) == (1, 3)

    def newest(values: list[bytes]) -> int | None:
        found = newest_whole(values)
        return None if found is None else found[1].next_offset

    assert newest([]) is None
    assert newest(one) == 1
    assert newest(one + two) == 2
    assert newest(one + two[:2]) == 1
    assert newest(two + three[:1]) == 2
    assert newest(two + three[:2] + one) == 1
    assert newest(two[1:]) is None
    assert newest(two[:2] + three[2:]) is None  # parts of two
    assert newest([two[0], two[2], two[1]]) is None
    spoilt = [*two[:2], two[2][:-1] + b"?"]
    assert newest(one + spoilt) == 1


def test_a_state_may_not_grow_for_ever() -> None:
    with pytest.raises(p.StateUnusable, match="at most 57600000 can be kept"):
        parts_of(b"x" * (PARTS_MAX * PART_BYTES + 1), 1)


@given(st.binary(max_size=40))
def test_records_that_are_no_parts(value: bytes) -> None:
    with pytest.raises(p.StateUnusable, match="choose another --id"):
        read_part(value)


@pytest.mark.parametrize(
    ("source", "steps", "says"),
    [
        (
            p.Source("id", "in", 2),
            ("a", "b"),
            "belongs to partition 3 of topic 'in', not to partition 2",
        ),
        (p.Source("id", "elsewhere", 3), ("a", "b"), "of 'elsewhere': choose another --id"),
        (SOURCE, ("a",), "of the steps a, b, but its steps are a: choose"),
    ],
)
def test_the_state_of_something_else(source: p.Source, steps: tuple[str, ...], says: str) -> None:
    checkpoint(1).fits(SOURCE, ("a", "b"))
    with pytest.raises(p.StateUnusable, match=says):
        checkpoint(1).fits(source, steps)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**41))
def test_stamps_come_back(offset: int, number: int) -> None:
    stamp = SOURCE.stamp(p.Place(offset, number))
    assert read_stamp(stamp) == (SOURCE, p.Place(offset, number))
    assert read_stamp(stamp + b' {"reason": "a\nb"}') == (SOURCE, p.Place(offset, number))
    assert users_key(stamp) is None


@pytest.mark.parametrize("key", [b"", b"qd", b"qd/a/b/c/1/2", b"qd/A/b/1/1/2", b"qd/a/b/1/1/2x"])
def test_keys_that_are_no_stamps(key: bytes) -> None:
    assert read_stamp(key) is None
    assert users_key(key) == key
    assert users_key(None) is None


def test_a_topic_that_was_made_again_is_read_from_its_beginning() -> None:
    tail = Tail("out", SOURCE, Written(10, p.Place(5, 0)), 3, counts=False)
    assert (tail.start, tail.end) == (0, 3)
    tail.saw(Record(0, 0, SOURCE.stamp(p.Place(6, 2)), b""))
    tail.saw(Record(1, 0, p.Source("other", "in", 3).stamp(p.Place(9, 9)), b""))
    assert tail.state() == Written(3, p.Place(6, 2))


def test_slices_take_about_a_tenth_of_a_second() -> None:
    slices = Slices()
    batch = [Record(offset, 0, None, b"") for offset in range(20_000)]
    sizes = []
    for _ in range(12):
        part = slices.cut(batch, 5)
        sizes.append(len(part))
        slices.took(len(part), 0.01)
    assert part[0].offset == 5
    assert sizes[0] < sizes[3] < sizes[-1] == RECORDS_MAX
    for _ in range(20):
        slices.took(len(slices.cut(batch, 0)), 0.5)
    assert len(slices.cut(batch, 0)) == 1
    assert len(slices.cut(batch, 19_999)) == 1


def test_slices_are_bounded_in_bytes() -> None:
    slices = Slices()
    large = [Record(offset, 0, None, b"x" * (BYTES_MAX // 4)) for offset in range(10)]
    assert len(slices.cut(large, 0)) == 4
    assert len(slices.cut([Record(0, 0, None, b"x" * (BYTES_MAX + 1))] * 2, 0)) == 1
