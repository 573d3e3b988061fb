"""Durations and sizes, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli.units import exact_bytes, exact_seconds, parse_bytes, parse_seconds, short_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3_600),
        ("1h", 3_600),
        ("7d", 604_800),
        ("1w", 604_800),
        ("1h 30m", 5_400),
        ("1H30M", 5_400),
        (" 90 s ", 90),
        ("1_000", 1_000),
        ("0", 0),
    ],
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("64MB", 64_000_000),
        ("64mb", 64_000_000),
        ("1GiB", 1 << 30),
        ("10 KiB", 10_240),
        ("1TB", 10**12),
        ("5B", 5),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", " ", "h", "1x", "-1", "1.5h", "1h soon", "9" * 30, "∞"])
def test_what_is_neither_is_refused(text: str) -> None:
    for parse in (parse_seconds, parse_bytes):
        with pytest.raises(ValueError, match="expected"):
            parse(text)


@pytest.mark.parametrize("text", ["1M", "1k", "1G"])
def test_a_unit_that_may_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64MB or 1GiB"):
        parse_bytes(text)


@given(st.integers(0, 2**50))
def test_what_is_written_reads_back(value: int) -> None:
    assert parse_bytes(exact_bytes(value)) == value
    assert parse_seconds(exact_seconds(value)) == value


@pytest.mark.parametrize(
    ("value", "exact", "short"),
    [
        (0, "0B", "0 B"),
        (1_023, "1023B", "1023 B"),
        (1_024, "1KiB", "1 KiB"),
        (64_000_000, "64MB", "61 MiB"),
        (1 << 30, "1GiB", "1 GiB"),
        (10**12, "1TB", "931 GiB"),
        (1_047_552, "1023KiB", "1023 KiB"),
        (5 << 40, "5TiB", "5.0 TiB"),
    ],
)
def test_sizes_are_written(value: int, exact: str, short: str) -> None:
    assert (exact_bytes(value), short_bytes(value)) == (exact, short)
