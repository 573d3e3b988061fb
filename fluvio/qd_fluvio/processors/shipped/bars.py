"""Trades to bars of one resolution: a bar goes out once, when it is over.

A bar is over when a trade of a later one comes, or when its stream says that it is complete.
The bar that is still open stays in the state, whatever stops the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors import plain
from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor, Step
from qd_fluvio.processors.rows import BAR_ROW, BARS, TRADES, Batch, plain_rows, read
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of
from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.bars import Resampler, bar_starts
from qd_schemas.codec import encode
from qd_schemas.enums import EndReason, Resolution
from qd_schemas.messages import FirstOHLCVBar, FirstTradeBar, LastOHLCVBar, LastTradeBar, Message
from qd_schemas.wire import NO_REASON

MARKETS_MAX: Final = 100_000
"""Streams whose bars are made at the same time."""

_Key = tuple[int, int]  # symbol id, stream id


def trades_to_bars(resolution: str = "1m") -> Processor:
    """Trades to OHLCV bars of one resolution: 1m, 5m, 15m, 30m, 1h, 1d, 1M or 1y.

    Parameters
    ----------
    resolution : str
        The length of a bar.
    """
    try:
        chosen = Resolution.parse(resolution)
    except ValueError as error:
        raise BadProcessor(f"resolution: {error}") from None
    step = Step(f"trades-to-bars-{resolution}", "window", partial(Bars, chosen))
    return Processor("trades-to-bars", "Trades to OHLCV bars of one resolution.", (step,))


@dataclass(frozen=True, slots=True)
class Market:
    """One stream: its resampler's state, and the number of the next bar to go out."""

    state: Rows | None = None
    number: int = 1


_NEW: Final = Market()


class Bars:
    """The open bars of one partition; see `Stage`."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution
        self._step = f"trades-to-bars-{resolution.label}"
        self._markets: dict[_Key, Market] = {}

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        batch = read(TRADES, items)
        fed = Fed([], [Failure(item, self._step, reason) for item, reason in batch.refused])
        before = dict(self._markets)  # values are never changed, only replaced
        try:
            fed.items = self._bars(batch)
        except Exception as error:
            self._markets = before
            if len(batch.items) > 1:
                return self._one_by_one(items)
            fed.failures.append(Failure(batch.items[0], self._step, reason_of(error)))
        return fed

    def _one_by_one(self, items: Sequence[Item]) -> Fed:
        fed = Fed()
        for item in items:
            alone = self.feed([item])
            fed.items += alone.items
            fed.failures += alone.failures
        return fed

    def _bars(self, batch: Batch) -> list[Item]:
        """Rows up to a message that begins or ends a stream, then what that message does."""
        made: list[Item] = []
        ends = batch.ends.tolist()
        begin = 0
        for number, message in sorted(batch.marks.items()):
            made += self._of_rows(batch, begin, ends[number])
            begin = ends[number]
            made += self._of_mark(batch.items[number], message)
        return made + self._of_rows(batch, begin, len(batch.rows))

    def _of_rows(self, batch: Batch, begin: int, end: int) -> list[Item]:
        rows = batch.rows[begin:end]
        parts = []
        for key, which in _groups(rows):
            bars, causes = self._of_market(key, rows[which])
            parts.append((bars, begin + which[causes]))
        if not parts:
            return []
        all_bars = np.concatenate([bars for bars, _ in parts])
        all_causes = np.concatenate([causes for _, causes in parts])
        order = np.argsort(all_causes, kind="stable")
        return self._items(batch, all_bars[order], all_causes[order])

    def _of_market(self, key: _Key, rows: Rows) -> tuple[Rows, NDArray[np.intp]]:
        """The bars that these trades of one stream finish, and the trade that finished each."""
        market = self._markets.get(key, _NEW)
        if key not in self._markets and len(self._markets) >= MARKETS_MAX:
            raise ValueError(f"a stream more than the {MARKETS_MAX} whose bars can be made")
        resampler = Resampler(self._resolution, market.state)
        starts = bar_starts(self._resolution, np.ascontiguousarray(rows["time"]))
        before = resampler.unfinished["time"]
        steps = np.diff(starts, prepend=before if len(before) else starts[:1])
        if (steps < 0).any():
            back = int(np.flatnonzero(steps < 0)[0])
            raise ValueError(
                f"trade {int(rows['sequence'][back])} of symbol {key[0]} is of a bar that went out"
            )
        bars = resampler.feed(plain_rows(rows, TRADE))
        self._markets[key] = Market(resampler.state, market.number + len(bars))
        return self._rows(key, bars, market.number), np.flatnonzero(steps)

    def _unfinished(self, market: Market) -> Rows:
        return Resampler(self._resolution, market.state).unfinished

    def _rows(self, key: _Key, bars: Rows, number: int) -> Rows:
        rows = np.empty(len(bars), BAR_ROW)
        rows["symbol_id"], rows["stream_id"] = key
        rows["resolution"] = self._resolution
        rows["number"] = np.arange(number, number + len(bars))
        for name in BAR.names or ():
            rows[name] = bars[name]
        return rows

    def _items(self, batch: Batch, bars: Rows, causes: NDArray[np.intp]) -> list[Item]:
        """The bars that trades of one record finished are packed together."""
        owners = batch.item_of_row(causes)
        cuts = np.flatnonzero(np.diff(owners)) + 1
        made: list[Item] = []
        for part in np.split(np.arange(len(bars)), cuts) if len(bars) else []:
            cause = batch.items[int(owners[part[0]])]
            ordered = bars[part][np.argsort(bars["symbol_id"][part], kind="stable")]
            made += [_record(cause, value) for value in BARS.encode(ordered)]
        return made

    def _of_mark(self, item: Item, message: Message) -> list[Item]:
        if isinstance(message, FirstTradeBar):
            self._markets.pop((message.symbol_id, message.stream_id), None)
            first = FirstOHLCVBar(message.symbol_id, message.stream_id)
            return [_record(item, encode(first))]
        assert isinstance(message, LastTradeBar)
        key = (message.symbol_id, message.stream_id)
        market = self._markets.pop(key, _NEW)
        complete = message.end_reason in (EndReason.COMPLETE, NO_REASON)
        bars = self._unfinished(market)[: int(complete)]
        values = BARS.encode(self._rows(key, bars, market.number))
        count = market.number - 1 + len(bars)
        last = LastOHLCVBar(*key, end_reason=message.end_reason, count=count)
        return [_record(item, value) for value in (*values, encode(last))]

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """Give out all open bars."""
        cause = Item(origin, timestamp_ms, None, b"")
        fed = Fed()
        for key, market in self._markets.items():
            values = BARS.encode(self._rows(key, self._unfinished(market), market.number))
            fed.items += [_record(cause, value) for value in values]
        self._markets = {}
        return fed

    def snapshot(self) -> bytes:
        """See `Stage.snapshot`."""
        found: list[Any] = [
            [key, market.number, market.state] for key, market in self._markets.items()
        ]
        return plain.encode(found)

    def restore(self, state: bytes) -> None:
        """See `Stage.restore`."""
        self._markets = {
            key: replace(_NEW, state=bars, number=number)
            for key, number, bars in plain.decode(state)
        }


def _record(cause: Item, value: bytes) -> Item:
    return cause._replace(key=None, value=value)


def _groups(rows: Rows) -> list[tuple[_Key, NDArray[np.intp]]]:
    """The indices of each stream's rows."""
    if not len(rows):
        return []
    keys = (rows["symbol_id"].astype(np.int64) << 32) | rows["stream_id"]
    if (keys == keys[0]).all():  # as it mostly is
        return [(_key(int(keys[0])), np.arange(len(rows)))]
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return [(_key(int(keys[part[0]])), part) for part in np.split(order, cuts)]


def _key(packed: int) -> _Key:
    return packed >> 32, packed & 0xFFFF_FFFF
