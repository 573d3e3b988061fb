"""Where a model and a market can go on after a restart: checkpoints as records. Sans-IO.

A checkpoint says: evaluated up to this trade, with this context; all alerts up to there are
on the alerts topic, and any later ones lie at or after `mark`. Records are appended; of a
pair's, the one with the highest revision counts.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from qd_analytics.causal.errors import SavedModelError
from qd_analytics.causal.saved_values import text, whole
from qd_analytics.errors import StateUnusable
from qd_analytics.ledger import PairKey

RECORD_BYTES_MAX: Final = 900_000
"""Fluvio's records are not much larger."""
SPAN_BYTES_MAX: Final = 32 * 1024 * 1024
"""A record that counts is written again before so many bytes lie behind it; the topic keeps
eight times as many."""

_MAGIC: Final = b"qda1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A moment of one model on one market.

    Attributes
    ----------
    pair : tuple of int
        Model, exchange, symbol.
    symbol : str
        The market's name: another database may give its id to another one.
    revision : int
        Counts the pair's checkpoints.
    mark : int
        The alerts topic's offset: the pair's alerts after this moment are not before it.
    state : mapping
        What `MarketRun.to_json` gave; empty revokes the pair's checkpoints before it.
    """

    pair: PairKey
    symbol: str
    revision: int
    mark: int
    state: dict[str, Any]


def encode(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint as a record's value.

    Raises
    ------
    StateUnusable
        It is too large for a record, or holds what JSON does not.
    """
    head = {
        "pair": checkpoint.pair,
        "symbol": checkpoint.symbol,
        "revision": checkpoint.revision,
        "mark": checkpoint.mark,
        "state": checkpoint.state,
    }
    try:
        data = _MAGIC + zlib.compress(json.dumps(head, allow_nan=False).encode(), 1)
    except (TypeError, ValueError) as error:
        raise StateUnusable(f"the state of {checkpoint.symbol} is no JSON: {error}") from None
    if len(data) > RECORD_BYTES_MAX:
        raise StateUnusable(
            f"the state of {checkpoint.symbol} has {len(data)} bytes; at most {RECORD_BYTES_MAX} "
            "can be saved: keep less in it"
        )
    return data


def decode(data: bytes) -> Checkpoint:
    """Read what `encode` wrote.

    Raises
    ------
    StateUnusable
        The bytes are something else.
    """
    if data[:4] != _MAGIC:
        raise StateUnusable(f"{len(data)} bytes that are no checkpoint")
    try:
        head = json.loads(zlib.decompress(data[4:]))
        model, exchange, symbol = map(whole, head["pair"])
        state = head["state"]
        if not isinstance(state, dict):
            raise ValueError("the state is no object")
        return Checkpoint(
            (model, exchange, symbol),
            text(head["symbol"]),
            whole(head["revision"]),
            whole(head["mark"]),
            state,
        )
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError, SavedModelError) as error:
        raise StateUnusable(
            f"a checkpoint of {len(data)} bytes is damaged ({error!r:.200})"
        ) from None


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint as a record: whose it is, and the record's value."""

    pair: PairKey
    revision: int
    value: bytes


def written(checkpoint: Checkpoint) -> Written:
    """A checkpoint as a record.

    Raises
    ------
    StateUnusable
        As `encode`.
    """
    return Written(checkpoint.pair, checkpoint.revision, encode(checkpoint))


@dataclass(slots=True)
class _Live:
    written: Written
    at: int  # bytes before it


class CheckpointLog:
    """Which records of the topic still count, and which must be written again. No I/O."""

    def __init__(self, span_bytes_max: int = SPAN_BYTES_MAX) -> None:
        self._span_max = span_bytes_max
        self._live: dict[PairKey, _Live] = {}  # in the order in which they were written
        self._bytes = 0
        self._live_bytes = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, pair: PairKey) -> bool:
        return pair in self._live

    def __iter__(self) -> Iterator[PairKey]:
        return iter(tuple(self._live))

    def newest(self, pair: PairKey) -> Checkpoint | None:
        """A pair's checkpoint that counts; None where there is none, or it was revoked."""
        live = self._live.get(pair)
        found = None if live is None else decode(live.written.value)
        return found if found is not None and found.state else None

    def revision(self, pair: PairKey) -> int:
        """What a pair's next checkpoint has as its revision."""
        live = self._live.get(pair)
        return 1 if live is None else live.written.revision + 1

    def revocations(self) -> list[Written]:
        """Records after which no pair has a checkpoint: the alerts are gone that they rely on."""
        return [
            written(Checkpoint(pair, "", self.revision(pair), 0, {}))
            for pair in self
            if self.newest(pair) is not None
        ]

    def add(self, written: Written) -> None:
        """Note a record that is on the topic, in the order of the topic."""
        at = self._bytes
        self._bytes += len(written.value)
        known = self._live.get(written.pair)
        if known is not None:
            if known.written.revision > written.revision:
                return
            self._live_bytes -= len(known.written.value)
            del self._live[written.pair]
        self._live[written.pair] = _Live(written, at)
        self._live_bytes += len(written.value)

    def fading(self) -> list[Written]:
        """The records to write again, oldest first, since retention may come near them."""
        span = max(self._span_max, 2 * self._live_bytes)
        return [
            live.written
            for live in itertools.takewhile(
                lambda live: self._bytes - live.at > span, self._live.values()
            )
        ]
