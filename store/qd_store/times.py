"""Which times a trade may have, and how PostgreSQL tells times: values only."""

from __future__ import annotations

from typing import Final

# Bitcoin's first block. Older times are cut-off digits or another unit, never a trade.
TIME_MIN_US: Final = 1_231_006_505_000_000
TIME_MAX_US: Final = 4_102_444_800_000_000  # 2100-01-01

EPOCH_2000_US: Final = 946_684_800_000_000
"""Where PostgreSQL counts from, in microseconds since 1970."""

MICROSECONDS: Final = "(extract(epoch FROM {0}) * 1000000)::bigint"
"""A time in SQL as microseconds since 1970; exact, unlike the extract of a float."""
