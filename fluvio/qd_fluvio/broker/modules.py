"""The broker's SmartModules, in memory and on disk: kept, found by name, never run here.

One file a module, written whole or not at all. All modules together are bounded, so that
they stay in memory and a list of them fits a response.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from qd_fluvio.broker.errors import InvalidModule, InvalidPackage, ModuleNotFound
from qd_fluvio.broker.files import sync_folder, write_durably
from qd_fluvio.broker.settings import (
    MODULE_BYTES_MAX,
    MODULE_NAME_CHARACTERS_MAX,
    MODULE_WASM_BYTES_MAX,
    MODULES_BYTES_MAX,
    MODULES_MAX,
)
from qd_fluvio.errors import LogError, WireError
from qd_fluvio.wire.codec import decode, encode
from qd_fluvio.wire.modules import ModuleMetadata, ModulePackage, ModuleSpec, ModuleWasm

_SUFFIX = ".module"
_LAYOUT_VERSION = 19  # of the wire layout in which a module is kept
_GZIP_MAGIC = b"\x1f\x8b"
_WASM_MAGIC = b"\0asm"
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+")


@dataclass(frozen=True, slots=True)
class _Key:
    """A name as requests spell it: `name`, `group/name` or `group/name@version`."""

    name: str
    group: str = ""
    version: str = ""

    @staticmethod
    def of(text: str) -> _Key:
        group, slash, rest = text.partition("/")
        if not slash:
            return _Key(text)
        name, _, version = rest.partition("@")
        return _Key(name, group, version)

    @property
    def stored_name(self) -> str:
        return "-".join(part for part in (self.name, self.group, self.version) if part)

    def names(self, module: ModuleMetadata) -> bool:
        """Whether the module is of that name; a package's group and version may be left out."""
        if module.spec.meta is None:
            return module.name == self.name
        package = module.spec.meta.package
        return (
            package.name == self.name
            and self.group in ("", package.group)
            and self.version in ("", package.version)
        )


class ModuleStore:
    """All SmartModules of one data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ModuleMetadata] = {}
        self._writing = asyncio.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            module = _load(path)
            self._modules[module.name] = module

    def modules(self) -> list[ModuleMetadata]:
        """All modules, by name."""
        return [self._modules[name] for name in sorted(self._modules)]

    def select(self, names: tuple[str, ...]) -> list[ModuleMetadata]:
        """The modules of these names; no names means all."""
        keys = [_Key.of(name) for name in names]
        return [
            module
            for module in self.modules()
            if not keys or any(key.names(module) for key in keys)
        ]

    def has(self, name: str) -> bool:
        """Whether there is a module of that name."""
        return bool(self.select((name,)))

    def payload(self, name: str) -> bytes:
        """The bytes of the module of that name as they are kept, maybe compressed.

        Raises
        ------
        ModuleNotFound
            If there is none.
        """
        found = self.select((name,))
        if not found:
            raise ModuleNotFound(name)
        return bytes(found[0].spec.wasm.payload)

    async def create(self, name: str, spec: ModuleSpec, *, dry_run: bool = False) -> ModuleMetadata:
        """Keep a module, in place of one of the same name; on the disk when this returns.

        A module with a package is named after the package.

        Raises
        ------
        InvalidModule, InvalidPackage
            If its name or its bytes break a rule, or there is no room for it.
        LogError
            If the disk refuses.
        """
        name = _stored_name(name, spec)
        await asyncio.to_thread(wasm_of, bytes(spec.wasm.payload), name)
        kept = ModuleWasm(spec.wasm.format, bytes(spec.wasm.payload))
        module = ModuleMetadata(name, replace(spec, summary=None, wasm=kept))
        async with self._writing:
            self._check_room(module)
            if not dry_run:
                await asyncio.to_thread(self._write, module)
                self._modules[name] = module
        return module

    async def delete(self, name: str) -> ModuleMetadata:
        """Forget a module.

        Raises
        ------
        ModuleNotFound
            If there is none of that name.
        LogError
            If the disk refuses.
        """
        stored = _Key.of(name).stored_name
        async with self._writing:
            if stored not in self._modules:
                raise ModuleNotFound(name)
            await asyncio.to_thread(self._remove, stored)
            return self._modules.pop(stored)

    def _check_room(self, module: ModuleMetadata) -> None:
        others = [kept for kept in self._modules.values() if kept.name != module.name]
        size = sum(len(kept.spec.wasm.payload) for kept in [*others, module])
        if len(others) >= MODULES_MAX or size > MODULES_BYTES_MAX:
            raise InvalidModule(
                module.name,
                f"found {len(others)} SmartModules already, with this one {size} bytes, expected "
                f"at most {MODULES_MAX} and {MODULES_BYTES_MAX} bytes: delete some first",
            )

    def _write(self, module: ModuleMetadata) -> None:
        try:
            write_durably(self._path(module.name), encode(module, _LAYOUT_VERSION))
        except OSError as error:
            raise LogError(f"cannot keep SmartModule '{module.name}': {error}") from error

    def _remove(self, name: str) -> None:
        try:
            self._path(name).unlink()
            sync_folder(self._folder)
        except OSError as error:
            raise LogError(f"cannot delete SmartModule '{name}': {error}") from error

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"


def wasm_of(payload: bytes, name: str) -> bytes:
    """The WASM in a module's payload, which may be compressed with gzip.

    Raises
    ------
    InvalidModule
        If it is too large, or no WASM.
    """
    if len(payload) > MODULE_BYTES_MAX:
        raise InvalidModule(
            name, f"found {len(payload)} bytes, expected at most {MODULE_BYTES_MAX}"
        )
    wasm = _unpacked(payload, name) if payload.startswith(_GZIP_MAGIC) else payload
    if not wasm.startswith(_WASM_MAGIC):
        raise InvalidModule(name, f"found bytes {wasm[:4]!r} at its start, expected WASM's")
    return wasm


def _unpacked(payload: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
            wasm = file.read(MODULE_WASM_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidModule(name, f"found bytes that gzip cannot read: {error}") from error
    if len(wasm) > MODULE_WASM_BYTES_MAX:
        raise InvalidModule(
            name, f"found over {MODULE_WASM_BYTES_MAX} bytes uncompressed, expected at most that"
        )
    return wasm


def _stored_name(name: str, spec: ModuleSpec) -> str:
    if spec.meta is not None:
        name = _package_name(spec.meta.package)
    good = (
        0 < len(name) <= MODULE_NAME_CHARACTERS_MAX
        and set(name) <= _CHARACTERS
        and not name.startswith(".")
    )
    if not good:
        raise InvalidModule(
            name,
            f"found name {name!r}, expected 1 to {MODULE_NAME_CHARACTERS_MAX} letters, digits "
            "and '-', '_', '+', '.', not beginning with '.'",
        )
    return name


def _package_name(package: ModulePackage) -> str:
    if not package.name or not package.group:
        raise InvalidPackage("found a package without a name or a group, expected both")
    return _Key(package.name, package.group, package.version).stored_name


def _load(path: Path) -> ModuleMetadata:
    try:
        module = decode(ModuleMetadata, path.read_bytes(), _LAYOUT_VERSION)
    except (OSError, WireError) as error:
        raise LogError(f"cannot read {path}: {error}: restore it, or remove it") from error
    if f"{module.name}{_SUFFIX}" != path.name:
        raise LogError(f"found SmartModule {module.name!r} in {path}: rename it, or remove it")
    return module
