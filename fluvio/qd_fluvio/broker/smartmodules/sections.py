"""What is checked of a WASM module before the library sees it.

The library makes an object of each import and export, so their number must be bounded
first, and it takes modules written as text, of which that cannot be known. Everything else
about a module is for the library to check.
"""

from __future__ import annotations

from qd_fluvio.broker.smartmodules.errors import ModuleFault

_MAGIC = b"\0asm"
_HEADER_BYTES = 8  # magic and version
_IMPORTS, _EXPORTS = 2, 7
_COUNTED = {_IMPORTS: "imports", _EXPORTS: "exports"}
COUNT_MAX = 10_000
_VARINT_BYTES_MAX = 5


def check_sections(wasm: bytes) -> None:
    """Refuse a module with too many imports or exports.

    Raises
    ------
    ModuleFault
        If it has, or if it is cut short or not WASM at all.
    """
    if not wasm.startswith(_MAGIC):
        raise ModuleFault(f"found bytes {wasm[:4]!r} at a module's start, expected {_MAGIC!r}")
    position = _HEADER_BYTES
    while position < len(wasm):
        kind = wasm[position]
        size, start = _varint(wasm, position + 1)
        if kind in _COUNTED:
            count, _ = _varint(wasm, start)
            if count > COUNT_MAX:
                raise ModuleFault(f"found {count} {_COUNTED[kind]}, expected at most {COUNT_MAX}")
        position = start + size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[position : position + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ModuleFault("failed to parse WebAssembly module")
