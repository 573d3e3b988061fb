"""Every message is, to the bit, what the official SBE tool's codecs write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qd_schemas.arrays import message_dtype
from qd_schemas.codec import decode, encode, version_of
from qd_schemas.constructs import construct_layout
from qd_schemas.messages import MESSAGES
from qd_schemas.table import LAYOUTS, layout_of
from schemas.golden import GOLDEN, GOLDEN_1, GOLDEN_2, Golden

EACH = pytest.mark.parametrize("golden", GOLDEN, ids=str)


def fields_of(golden: Golden) -> dict[str, Any]:
    fields = layout_of(type(golden.message)).fields_in(golden.version)
    return {field.name: getattr(golden.message, field.name) for field in fields}


def test_the_oracle_holds_every_message_five_times() -> None:
    reference = [layout for layout in LAYOUTS.values() if layout.since == 1]
    assert len(GOLDEN_1) == 5 * len(reference) == 65
    assert len(GOLDEN_2) == 5 * len(MESSAGES) == 115
    assert {type(golden.message) for golden in GOLDEN_2} == set(MESSAGES)


@EACH
def test_encode(golden: Golden) -> None:
    assert encode(golden.message, golden.version) == golden.encoded


@EACH
def test_decode(golden: Golden) -> None:
    message = decode(golden.encoded)
    assert type(message) is type(golden.message)
    # Compared as bytes, because the oracle names f32 values by their shortest decimal.
    assert encode(message, golden.version) == golden.encoded
    assert version_of(golden.encoded) == golden.version


@EACH
def test_construct(golden: Golden) -> None:
    layout = construct_layout(type(golden.message), golden.version)
    assert layout.build(fields_of(golden)) == golden.encoded
    parsed = layout.parse(golden.encoded)
    message = decode(golden.encoded)
    assert {name: parsed[name] for name in fields_of(golden)} == {
        name: getattr(message, name) for name in fields_of(golden)
    }


@EACH
def test_dtype(golden: Golden) -> None:
    dtype = message_dtype(type(golden.message), golden.version)
    (row,) = np.frombuffer(golden.encoded, dtype)
    message = decode(golden.encoded)
    assert row["template_id"] == row["message_type"] == message.TEMPLATE
    assert {name: row[name].item() for name in fields_of(golden)} == {
        name: getattr(message, name) for name in fields_of(golden)
    }
