"""Several markets' trades and bars as one stream in order of time, paced and controlled."""

from qd_client.replay.blocking import SyncReplay
from qd_client.replay.events import (
    BarRow,
    Bars,
    IntervalEnd,
    Market,
    ReplayEvent,
    Single,
    Slice,
    TradeRow,
    Trades,
)
from qd_client.replay.replay import Replay

__all__ = [
    "BarRow",
    "Bars",
    "IntervalEnd",
    "Market",
    "Replay",
    "ReplayEvent",
    "Single",
    "Slice",
    "SyncReplay",
    "TradeRow",
    "Trades",
]
