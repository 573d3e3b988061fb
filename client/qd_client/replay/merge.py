"""Merges sorted arrays of several sources into one order. Sans-IO, and in bounded memory.

The order is that of keys; among equal keys that of the sources' numbers; within a source its
own. A row is given as soon as no source that goes on can bring one before it: then every such
source has a row waiting. So the merger holds one array for each source, whatever their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
_NONE: Keys = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Keys of several sources in their common order, and whose each is."""

    keys: Keys
    sources: NDArray[np.int16]

    def runs(self, also: NDArray[np.bool_] | None = None) -> Iterator[tuple[int, int, int]]:
        """Cut into runs of one source: its number, and the run's begin and end.

        Parameters
        ----------
        also : ndarray of bool, shape (keys - 1,), optional
            True where a run must also end: between this key and the next.
        """
        cuts = self.sources[1:] != self.sources[:-1]
        if also is not None:
            cuts |= also
        begins = [0, *(np.flatnonzero(cuts) + 1).tolist()]
        ends = [*begins[1:], len(self.keys)]
        yield from zip(self.sources[begins].tolist(), begins, ends, strict=True)


class Merger:
    """The sources' keys that wait.

    Parameters
    ----------
    sources : int
        How many there are.
    """

    def __init__(self, sources: int) -> None:
        self._waiting: list[Keys] = [_NONE] * sources
        self._live = set(range(sources))

    @property
    def hungry(self) -> list[int]:
        """The sources without which nothing more can be given."""
        return [source for source in sorted(self._live) if not len(self._waiting[source])]

    @property
    def is_done(self) -> bool:
        """True where all sources have ended and all was given."""
        return not self._live and not any(map(len, self._waiting))

    def feed(self, source: int, keys: Keys) -> None:
        """Take a hungry source's next keys, which are sorted and not before its earlier ones."""
        assert source in self._live
        assert not len(self._waiting[source])
        self._waiting[source] = keys

    def end(self, source: int) -> None:
        """A source has no more."""
        self._live.discard(source)

    def merge(self) -> Merged | None:
        """Give all that can be given now; None where that is nothing."""
        if self.hungry or not any(map(len, self._waiting)):
            return None
        parts = [self._split(source, count) for source, count in enumerate(self._counts())]
        sizes = [len(part) for part in parts]
        sources = np.repeat(np.arange(len(parts), dtype=np.int16), sizes)
        keys = np.concatenate(parts)
        if max(sizes) < len(keys):
            order = np.argsort(keys, kind="stable")  # they are runs already: it only merges
            keys, sources = keys[order], sources[order]
        return Merged(keys, sources)

    def _counts(self) -> list[int]:
        """How many of each source come before all that is still to come."""
        if not self._live:
            return [len(keys) for keys in self._waiting]
        # What is to come comes after the last key of its source, so after the least of these.
        key, first = min((int(self._waiting[source][-1]), source) for source in self._live)
        return [
            int(np.searchsorted(keys, key, "right" if source <= first else "left"))
            for source, keys in enumerate(self._waiting)
        ]

    def _split(self, source: int, count: int) -> Keys:
        keys = self._waiting[source]
        self._waiting[source] = keys[count:]
        return keys[:count]
