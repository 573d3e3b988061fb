"""The processors that come with the system, by the names under which the command knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.shipped.bars import trades_to_bars
from qd_fluvio.processors.shipped.movers import top_movers
from qd_fluvio.processors.shipped.simple import (
    deduplicated,
    dispatch_by_symbol,
    large_trades,
    sbe_to_json,
)

Maker = Callable[..., Processor]

SHIPPED: Final[Mapping[str, Maker]] = {
    "sbe-to-json": sbe_to_json,
    "trades-to-bars": trades_to_bars,
    "top-movers": top_movers,
    "large-trades": large_trades,
    "deduplicate": deduplicated,
    "dispatch-by-symbol": dispatch_by_symbol,
}
"""Each is a function whose parameters are the processor's settings."""
