"""Accumulators: each record changes its key's, and what it then is goes out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from qd_fluvio.processors import plain
from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.rows import RowsCodec, read
from qd_fluvio.processors.stages.making import made
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of
from qd_schemas.arrays import Rows

KEYS_MAX: Final = 100_000
"""Accumulators that one processor keeps: the state is written again and again."""


@dataclass(frozen=True, slots=True)
class AggregateSpec:
    """What an aggregate is made of; see the decorator.

    Attributes
    ----------
    codec : Codec or RowsCodec
        Over rows, the function gets all rows of one record at a time.
    out : Codec
        Encodes results.
    function : callable
        (accumulator, value or rows) to the new accumulator.
    initial : object
        Where each accumulator starts.
    key : callable or None
        (value or rows) to the accumulator's key; None has one accumulator.
    result : callable or None
        (key, accumulator) to what goes out; None gives the accumulator, or an object of both.
    """

    codec: Codec[Any] | RowsCodec
    out: Codec[Any]
    function: Callable[[Any, Any], Any]
    initial: Any
    key: Callable[[Any], Hashable] | None
    result: Callable[[Any, Any], Any] | None

    def given(self, key: Any, accumulated: Any) -> Any:
        """What goes out for an accumulator."""
        if self.result is not None:
            return self.result(key, accumulated)
        return accumulated if self.key is None else {"key": key, "value": accumulated}


class Aggregate:
    """The accumulators of one partition; see `Stage`."""

    def __init__(self, step: str, spec: AggregateSpec) -> None:
        self._step = step
        self._spec = spec
        self._accumulated: dict[Any, Any] = {}

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        spec = self._spec
        fed = Fed()
        if isinstance(spec.codec, RowsCodec):
            batch = read(spec.codec, items)
            fed.failures += [Failure(item, self._step, why) for item, why in batch.refused]
            bounds = zip(batch.items, batch.counts.tolist(), batch.ends.tolist(), strict=True)
            for item, count, end in bounds:
                if count:
                    rows = batch.rows[end - count : end]
                    self._take(item, partial(_same, rows), fed)
            return fed
        for item in items:
            self._take(item, partial(spec.codec.decode, item), fed)
        return fed

    def _take(self, item: Item, decode: Callable[[], Any], fed: Fed) -> None:
        spec = self._spec
        try:
            value = decode()
            key = None if spec.key is None else spec.key(value)
            accumulated = spec.function(plain.copied(self._current(key)), value)
            out = made(item, spec.given(key, plain.copied(accumulated)), spec.out)
        except Exception as error:
            fed.failures.append(Failure(item, self._step, reason_of(error)))
            return
        self._accumulated[key] = accumulated
        fed.items.append(out)

    def _current(self, key: Any) -> Any:
        if key in self._accumulated:
            return self._accumulated[key]
        if len(self._accumulated) >= KEYS_MAX:
            raise ValueError(f"key {key!r} would be number {KEYS_MAX + 1}; at most {KEYS_MAX}")
        return self._spec.initial

    def finish(self, origin: int, timestamp_ms: int) -> Fed:
        """All results went out already."""
        self._accumulated = {}
        return Fed()

    def snapshot(self) -> bytes:
        """See `Stage.snapshot`."""
        return plain.encode(self._accumulated)

    def restore(self, state: bytes) -> None:
        """See `Stage.restore`."""
        self._accumulated = plain.decode(state)


def _same(rows: Rows) -> Rows:
    return rows
