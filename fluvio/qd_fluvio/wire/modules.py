"""SmartModules as objects of the SC: their specs and what is told about them.

Layouts only. `smartmodules` has how a request for records names them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from qd_fluvio.wire.codec import U8, U32, Bool, Bytes, PairsCodec, Since, Str

SMARTMODULE = "SmartModule"


@dataclass(frozen=True, slots=True)
class ModulePackage:
    """Where a module comes from: a group's package in some version."""

    name: Str
    group: Str
    version: Str
    api_version: Str
    description: Str | None = None
    license: Str | None = None
    visibility: Annotated[U8, Since(19)] = 0
    repository: Str | None = None


@dataclass(frozen=True, slots=True)
class ModuleParameter:
    """One parameter that a module takes."""

    description: Str | None = None
    optional: Bool = False


@dataclass(frozen=True, slots=True)
class ModuleMeta:
    """What a package says about its module."""

    package: ModulePackage
    parameters: Annotated[tuple[tuple[str, ModuleParameter], ...], PairsCodec(Str, ModuleParameter)]


@dataclass(frozen=True, slots=True)
class ModuleSummary:
    """What a list says in place of the module's bytes."""

    wasm_bytes: U32


@dataclass(frozen=True, slots=True)
class ModuleWasm:
    """The module itself; the command line sends it compressed with gzip."""

    format: U8 = 0
    payload: Bytes = b""


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """What a SmartModule is."""

    meta: ModuleMeta | None = None
    summary: ModuleSummary | None = None
    wasm: ModuleWasm = ModuleWasm()


@dataclass(frozen=True, slots=True)
class ModuleStatus:
    """Nothing is told about a SmartModule."""


@dataclass(frozen=True, slots=True)
class ModuleMetadata:
    """A SmartModule by its name."""

    name: Str
    spec: ModuleSpec
    status: ModuleStatus = ModuleStatus()


def summary_of(module: ModuleMetadata) -> ModuleMetadata:
    """The same module, with its size in place of its bytes."""
    spec = module.spec
    size = ModuleSummary(len(spec.wasm.payload))
    return replace(module, spec=replace(spec, summary=size, wasm=ModuleWasm()))
