"""Drops what came before: the keys of the last records that passed are remembered.

Two bounds: how many keys, and how old by the records' own time. A repeat does not renew the
memory of its key, so what passes depends on what passed alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors import plain
from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.rows import Batch, RowsCodec, read
from qd_fluvio.processors.stages.arrays import kept_items
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of

DIGEST_BYTES: Final = 16
COUNT_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class DedupSpec:
    """What a deduplication is made of.

    Attributes
    ----------
    codec : Codec or RowsCodec
        Over rows, the function gives an array with a key for each row.
    function : callable
        The key of a value: bytes, text, a number, or a tuple or list of these.
    count : int
        How many keys are remembered.
    age_ms : int or None
        Keys of records so much older than the newest are forgotten.
    """

    codec: Codec[Any] | RowsCodec
    function: Callable[[Any], Any]
    count: int
    age_ms: int | None


class Deduplicate:
    """The keys one partition remembers; see `Stage`."""

    def __init__(self, step: str, spec: DedupSpec) -> None:
        self._step = step
        self._spec = spec
        self._seen: OrderedDict[Any, int] = OrderedDict()  # key: time in ms, oldest first

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        codec = self._spec.codec
        if isinstance(codec, RowsCodec):
            return self._feed_rows(codec, items)
        fed = Fed()
        for item in items:
            try:
                key = digest(self._spec.function(codec.decode(item)))
            except Exception as error:
                fed.failures.append(Failure(item, self._step, reason_of(error)))
                continue
            if self._is_new(key, item.timestamp_ms):
                fed.items.append(item)
        return fed

    def _is_new(self, key: Any, time_ms: int) -> bool:
        """Whether a key passes; it is then remembered."""
        before = self._seen.get(key)
        if before is not None and not self._too_old(before, time_ms):
            return False
        self._seen[key] = time_ms
        self._seen.move_to_end(key)
        if len(self._seen) > self._spec.count:
            self._seen.popitem(last=False)
        return True

    def _too_old(self, before_ms: int, now_ms: int) -> bool:
        age = self._spec.age_ms
        return age is not None and now_ms - before_ms > age

    def _feed_rows(self, codec: RowsCodec, items: Sequence[Item]) -> Fed:
        batch = read(codec, items)
        failures = [Failure(item, self._step, reason) for item, reason in batch.refused]
        try:
            keys = self._row_keys(batch)
        except Exception as error:
            if len(batch.items) == 1:
                failures.append(Failure(batch.items[0], self._step, reason_of(error)))
                return Fed([], failures)
            fed = Fed()
            for item in items:
                alone = self._feed_rows(codec, [item])
                fed.items += alone.items
                fed.failures += alone.failures
            return fed
        return Fed(kept_items(codec, batch, self._new_rows(batch, keys)), failures)

    def _row_keys(self, batch: Batch) -> list[Any]:
        keys = np.asarray(self._spec.function(batch.rows))
        if keys.shape != (len(batch.rows),) or keys.dtype.hasobject:
            raise TypeError(
                f"{self._spec.function.__name__} returned {keys.dtype} of shape {keys.shape}; "
                f"expected a key for each of {len(batch.rows)} rows"
            )
        found: list[Any] = keys.tolist()
        return found

    def _new_rows(self, batch: Batch, keys: list[Any]) -> NDArray[np.bool_]:
        times = np.repeat([item.timestamp_ms for item in batch.items], batch.counts).tolist()
        # Most batches repeat nothing: then all pass, and no key is looked at by itself.
        distinct = dict(zip(keys, times, strict=True))
        if len(distinct) == len(keys) and self._seen.keys().isdisjoint(distinct):
            self._seen.update(distinct)
            for _ in range(len(self._seen) - self._spec.count):
                self._seen.popitem(last=False)
            return np.ones(len(keys), bool)
        return np.fromiter(map(self._is_new, keys, times), bool, len(keys))

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """Nothing is open; the memory goes."""
        self._seen.clear()
        return Fed()

    def snapshot(self) -> bytes:
        """See `Stage.snapshot`."""
        return plain.encode([list(self._seen), list(self._seen.values())])

    def restore(self, state: bytes) -> None:
        """See `Stage.restore`."""
        keys, times = plain.decode(state)
        first = max(len(keys) - self._spec.count, 0)  # the bound may have been lowered
        pairs = zip(keys, times, strict=True)
        self._seen = OrderedDict(islice(pairs, first, None))


def digest(key: Any) -> bytes:
    """A key of any length in 16 bytes."""
    data = key if isinstance(key, bytes) else b"\0" + plain.encode(key)
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
