"""How a request names the SmartModules its records shall pass.

Layouts only; see `data` for the requests that carry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from qd_fluvio.wire.codec import U64, Bytes, PairsCodec, Since, Str, Tagged
from qd_fluvio.wire.metadata import Duration


@dataclass(frozen=True, slots=True)
class StoredModule:
    """A SmartModule that the cluster has, by name."""

    name: Str


@dataclass(frozen=True, slots=True)
class AdHocModule:
    """A SmartModule sent along, compressed with gzip."""

    wasm: Bytes


@dataclass(frozen=True, slots=True)
class FilterKind:
    """Drops records."""


@dataclass(frozen=True, slots=True)
class MapKind:
    """Changes records one by one."""


@dataclass(frozen=True, slots=True)
class ArrayMapKind:
    """Makes several records of one."""


@dataclass(frozen=True, slots=True)
class AggregateKind:
    """Folds records into one."""

    accumulator: Bytes


@dataclass(frozen=True, slots=True)
class FilterMapKind:
    """Drops or changes records."""


@dataclass(frozen=True, slots=True)
class NoContext:
    """Nothing beside the records."""


@dataclass(frozen=True, slots=True)
class JoinContext:
    """A topic to join with, which clusters of today ignore."""

    topic: Str


@dataclass(frozen=True, slots=True)
class JoinStreamContext:
    """A derived stream to join with, which clusters of today ignore."""

    topic: Str
    stream: Str


@dataclass(frozen=True, slots=True)
class GenericKind:
    """Whatever the module exports."""

    context: Annotated[
        NoContext | AggregateKind | JoinContext | JoinStreamContext,
        Tagged({0: NoContext, 1: AggregateKind, 2: JoinContext, 3: JoinStreamContext}),
    ]


@dataclass(frozen=True, slots=True)
class Lookback:
    """Which earlier records a module sees first."""

    last: U64
    age: Annotated[Duration | None, Since(21)] = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One SmartModule in a request's chain."""

    module: Annotated[StoredModule | AdHocModule, Tagged({0: StoredModule, 1: AdHocModule})]
    kind: Annotated[
        FilterKind | MapKind | ArrayMapKind | AggregateKind | FilterMapKind | GenericKind,
        Tagged(
            {
                0: FilterKind,
                1: MapKind,
                2: ArrayMapKind,
                3: AggregateKind,
                4: FilterMapKind,
                7: GenericKind,
            }
        ),
    ]
    parameters: Annotated[tuple[tuple[str, str], ...], PairsCodec(Str, Str)] = ()
    lookback: Annotated[Lookback | None, Since(20)] = None
    name: Annotated[Str | None, Since(25)] = None
