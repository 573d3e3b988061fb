"""How SmartModules fail.

::

    FluvioError
     ├─ ModuleFault   what went wrong inside a module, in words
     └─ ModuleFailed  the same as the error field that the client is given
"""

from __future__ import annotations

from qd_fluvio.errors import FluvioError
from qd_fluvio.wire.failures import ErrorCode, Failure


class ModuleFault(FluvioError):
    """A module trapped, takes too long, or does not fit the interface."""


class ModuleFailed(FluvioError):
    """A chain of modules cannot be started, or has ended."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"SmartModule: {failure}")
        self.failure = failure


def cannot_start(text: str) -> ModuleFailed:
    """The chain cannot be made."""
    return ModuleFailed(Failure(ErrorCode.SMARTMODULE_CHAIN_INIT_ERROR, (text,)))


def invalid(text: str) -> ModuleFailed:
    """The bytes sent along are no module."""
    return ModuleFailed(Failure(ErrorCode.SMARTMODULE_INVALID, (text, None)))


def too_much_memory(requested: int, limit: int) -> ModuleFailed:
    """The module, or all of them together, want more memory than they may have."""
    return ModuleFailed(Failure(ErrorCode.SMARTMODULE_MEMORY_LIMIT_EXCEEDED, (requested, limit)))


def look_back_failed(text: str) -> ModuleFailed:
    """The module refuses earlier records, or wants too many of them."""
    return ModuleFailed(Failure(ErrorCode.SMARTMODULE_LOOKBACK_ERROR, (text,)))
