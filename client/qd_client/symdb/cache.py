"""Answers that are kept as long as nothing says that they are old. No I/O.

A cache is used only while a watch of changes is on. An answer that was on its way while its
market changed is not kept: it may be from before.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qd_client.symdb.values import ChangeKind, MarketChange, MarketInfo

Key: TypeAlias = tuple[str, int, str | int]
"""What was asked for: how, on which exchange, and what."""


@dataclass(slots=True, eq=False)
class Asking:
    """A call on its way, and what changed since it began."""

    exchange_id: int
    trusted: bool
    changed: set[int | str] = field(default_factory=set)


class Cache:
    """The last answers.

    Parameters
    ----------
    markets_max : int
        How many markets the answers may hold in all; 0 keeps nothing.
    """

    def __init__(self, markets_max: int) -> None:
        self._markets_max = markets_max
        self._kept: OrderedDict[Key, tuple[Any, tuple[int, ...]]] = OrderedDict()
        self._keys: dict[tuple[int, int], set[Key]] = {}
        self._asking: set[Asking] = set()
        self._size = 0
        self._on = False

    def __len__(self) -> int:
        return self._size

    def get(self, key: Key) -> Any | None:
        """An answer that is not old."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    @contextlib.contextmanager
    def asking(self, exchange_id: int) -> Iterator[Asking]:
        """Note what changes while the block runs, which asks for markets of an exchange."""
        asking = Asking(exchange_id, trusted=self._on)
        self._asking.add(asking)
        try:
            yield asking
        finally:
            self._asking.remove(asking)

    def keep(self, asking: Asking, key: Key, answer: Any, markets: Iterable[MarketInfo]) -> None:
        """Keep the answer to a call, unless it may be old already."""
        ids = tuple(market.symbol_id for market in markets)
        weight = max(len(ids), 1)
        # Whatever changed may belong into a list of all.
        changed = (
            asking.changed if key[0] == "list" else asking.changed.intersection((*ids, key[2]))
        )
        if not asking.trusted or changed or weight > self._markets_max:
            return
        self._drop(key)
        self._kept[key] = answer, ids
        self._size += weight
        for symbol_id in ids:
            self._keys.setdefault((key[1], symbol_id), set()).add(key)
        while self._size > self._markets_max:
            self._drop(next(iter(self._kept)))

    def begin(self) -> None:
        """A watch is on: what is asked for from now on may be kept."""
        self._on = self._markets_max > 0

    def end(self) -> None:
        """The watch is lost: nothing is to be trusted."""
        self._on = False
        self._kept.clear()
        self._keys.clear()
        self._size = 0
        for asking in self._asking:
            asking.trusted = False

    def invalidate(self, change: MarketChange) -> None:
        """Forget what a change makes old."""
        exchange_id, symbol_id = change.market.exchange_id, change.market.symbol_id
        names = (change.market.symbol, *change.market.names)
        for asking in self._asking:
            if asking.exchange_id == exchange_id:
                asking.changed.update((symbol_id, *names))
                # A new market may take a name that another answered to.
                asking.trusted &= change.kind is not ChangeKind.ADDED
        if change.kind is ChangeKind.ADDED:
            old = [key for key in self._kept if key[1] == exchange_id]
        else:
            old = [("list", exchange_id, 0), *self._keys.get((exchange_id, symbol_id), ())]
            # Renamed, it may have taken a name by which another was found.
            old += [("name", exchange_id, name) for name in names]
        for key in old:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        answer = self._kept.pop(key, None)
        if answer is None:
            return
        self._size -= max(len(answer[1]), 1)
        for symbol_id in answer[1]:
            keys = self._keys[key[1], symbol_id]
            keys.discard(key)
            if not keys:
                del self._keys[key[1], symbol_id]
