"""Which times a trade may have: values only."""

from __future__ import annotations

from typing import Final

# Bitcoin's first block. Older times are cut-off digits or another unit, never a trade.
TIME_MIN_US: Final = 1_231_006_505_000_000
TIME_MAX_US: Final = 4_102_444_800_000_000  # 2100-01-01
