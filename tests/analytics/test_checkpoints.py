"""Checkpoints as records: whole or refused, the highest revision counts, none fades away."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_analytics.checkpoints import (
    RECORD_BYTES_MAX,
    Checkpoint,
    CheckpointLog,
    Written,
    decode,
    encode,
    written,
)
from qd_analytics.errors import StateUnusable

Pair = tuple[int, int, int]

pairs = st.tuples(*[st.integers(1, 3)] * 3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def a_checkpoint(state: dict[str, object], revision: int = 1) -> Checkpoint:
    return Checkpoint((1, 1, 1), "XBTEUR", revision, 7, state)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=4), pairs, st.text())
def test_a_checkpoint_comes_back(
    state: dict[str, object], pair: tuple[int, int, int], symbol: str
) -> None:
    checkpoint = Checkpoint(pair, symbol, 3, 12, state)
    assert decode(encode(checkpoint)) == checkpoint


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateUnusable):
        decode(data)


def test_what_is_nested_too_deep_is_refused() -> None:
    head = encode(a_checkpoint({}))[:4]
    with pytest.raises(StateUnusable, match="damaged"):
        decode(head + zlib.compress(b"[" * 99_999))


@settings(deadline=None)
@given(st.data())
def test_damage_is_refused(data: st.DataObject) -> None:
    good = bytearray(encode(a_checkpoint({"sequence": 5})))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        assert decode(bytes(good)) == a_checkpoint({"sequence": 5})
    except StateUnusable:
        return
    assert at < 6, "only the compression's own header may hold bits that say nothing"


@pytest.mark.parametrize(
    ("state", "message"),
    [({"x": float("nan")}, "no JSON"), ({"x": {1, 2}}, "no JSON")],
)
def test_what_is_no_json_is_refused(state: dict[str, object], message: str) -> None:
    with pytest.raises(StateUnusable, match=message):
        encode(a_checkpoint(state))


def test_what_fits_no_record_is_refused() -> None:
    noise = "".join(chr(0x4E00 + (n * n * 7_919) % 20_000) for n in range(RECORD_BYTES_MAX))
    with pytest.raises(StateUnusable, match="at most"):
        encode(a_checkpoint({"noise": noise}))


def test_the_highest_revision_counts() -> None:
    log = CheckpointLog()
    for revision in (1, 3, 2):
        log.add(written(a_checkpoint({"sequence": revision}, revision)))
    found = log.newest((1, 1, 1))
    assert found is not None
    assert found.state == {"sequence": 3}
    assert (log.revision((1, 1, 1)), log.revision((9, 9, 9)), len(log)) == (4, 1, 1)


PAIRS: list[Pair] = [(1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 1, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_that_counts_fades_away(seed: int) -> None:
    """A topic that keeps four times the span always has the newest of every pair."""
    chance = random.Random(seed)
    # The first pairs rest while the last is written again and again.
    writes = [(chance.choices(PAIRS, [1, 1, 1, 50])[0], chance.randint(1, 20)) for _ in range(300)]
    span, kept = 60, 4 * 60
    log = CheckpointLog(span)
    topic: list[Written] = []
    revisions: dict[Pair, int] = {}
    for pair, size in writes:
        revisions[pair] = revisions.get(pair, 0) + 1
        for record in [*log.fading(), Written(pair, revisions[pair], bytes(size))]:
            log.add(record)
            topic.append(record)
        live = sum(len(newest(topic, each).value) for each in revisions)
        while sum(len(record.value) for record in topic) > max(kept, 6 * live):
            del topic[0]
        assert {each: newest(topic, each).revision for each in revisions} == revisions
        assert set(log) == set(revisions)


def newest(topic: list[Written], pair: Pair) -> Written:
    return max((each for each in topic if each.pair == pair), key=lambda each: each.revision)
