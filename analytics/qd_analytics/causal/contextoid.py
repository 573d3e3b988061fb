"""Contextoids: the immutable nodes of a context, and the relations between them.

A value here never changes; a context replaces it (`update`) or moves it (`adjust`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Self

from qd_analytics.causal.errors import ModelError


class ContextoidKind(Enum):
    """The kinds of contextoids."""

    ROOT = "root"
    DATOID = "datoid"
    TEMPOID = "tempoid"
    SPACEOID = "spaceoid"
    SPACE_TEMPOID = "space tempoid"


class Relation(Enum):
    """What an edge of a context says."""

    DATIAL = "datial"
    TEMPORAL = "temporal"
    SPATIAL = "spatial"
    SPACE_TEMPORAL = "space temporal"


class TimeScale(IntEnum):
    """Scales of time, coarsest first; `NO_SCALE` stands for all of them."""

    NO_SCALE = 0
    YEAR = 1
    QUARTER = 2
    MONTH = 3
    WEEK = 4
    DAY = 5
    HOUR = 6
    MINUTE = 7
    SECOND = 8

    def included(self) -> tuple[TimeScale, ...]:
        """This scale and all coarser ones, coarsest first."""
        last = TimeScale.SECOND if self is TimeScale.NO_SCALE else self
        return tuple(scale for scale in TimeScale if TimeScale.NO_SCALE < scale <= last)


@dataclass(frozen=True, slots=True)
class _Contextoid:
    """What all kinds share: an id, unique within its context."""

    id: int

    @property
    def kind(self) -> ContextoidKind:
        return _KINDS[type(self)]

    def number(self, field: str) -> float | None:
        """One of its numbers, such as a place's `x`; None where it has none of that name."""
        value = getattr(self, field, None) if field in _NUMBERS else None
        return None if value is None else float(value)

    def adjusted(self, **deltas: float) -> Self:
        """This contextoid moved by `deltas`, one for each named value."""
        known = {entry.name for entry in fields(self)} - {"id", "scale"}
        for name in deltas:
            if name not in known:
                raise ModelError(
                    f"cannot adjust '{name}' of the {self.kind.value} {self.id}: "
                    f"it has {', '.join(sorted(known)) or 'no values'}"
                )
        return replace(self, **{name: getattr(self, name) + by for name, by in deltas.items()})


@dataclass(frozen=True, slots=True)
class Root(_Contextoid):
    """Where a context begins."""


@dataclass(frozen=True, slots=True)
class Datoid(_Contextoid):
    """Data: named numbers."""

    data: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))

    def number(self, field: str) -> float | None:
        """One of its numbers."""
        return self.data.get(field)

    def adjusted(self, **deltas: float) -> Datoid:
        """This data with each named number moved by its delta."""
        for name in deltas:
            if name not in self.data:
                raise ModelError(
                    f"cannot adjust '{name}' of the datoid {self.id}: "
                    f"it has {', '.join(self.data) or 'no values'}"
                )
        moved = {name: self.data[name] + by for name, by in deltas.items()}
        return Datoid(self.id, {**self.data, **moved})


def _refuse_negative_time(owner: Tempoid | SpaceTempoid) -> None:
    if owner.time < 0:
        raise ModelError(
            f"the {owner.kind.value} {owner.id} has time {owner.time}; expected 0 or more"
        )


@dataclass(frozen=True, slots=True)
class Tempoid(_Contextoid):
    """A time unit of a scale, such as month 202402."""

    scale: TimeScale
    time: int

    def __post_init__(self) -> None:
        _refuse_negative_time(self)


@dataclass(frozen=True, slots=True)
class Spaceoid(_Contextoid):
    """A place."""

    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class SpaceTempoid(_Contextoid):
    """A place at a time."""

    x: float
    y: float
    z: float
    time: int

    def __post_init__(self) -> None:
        _refuse_negative_time(self)


Contextoid = Root | Datoid | Tempoid | Spaceoid | SpaceTempoid

_KINDS: dict[type[_Contextoid], ContextoidKind] = {
    Root: ContextoidKind.ROOT,
    Datoid: ContextoidKind.DATOID,
    Tempoid: ContextoidKind.TEMPOID,
    Spaceoid: ContextoidKind.SPACEOID,
    SpaceTempoid: ContextoidKind.SPACE_TEMPOID,
}

_NUMBERS = frozenset({"x", "y", "z", "time"})
