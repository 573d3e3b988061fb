"""Errors that only the broker's own parts raise, beside those of `qd_fluvio.errors`.

::

    FluvioError
     ├─ InvalidModule         bytes or a name that no SmartModule can have
     ├─ InvalidTopicSettings  a topic that one local broker cannot have
     ├─ ModuleNotFound        no SmartModule of that name
     └─ LogError
         └─ StorageFull       no room for a batch
"""

from __future__ import annotations

from qd_fluvio.errors import FluvioError, LogError


class InvalidTopicSettings(FluvioError):
    """The topic's settings make no sense, or not on a cluster of one SPU."""


class StorageFull(LogError):
    """The disk or its quota has no room for the batch."""


class InvalidModule(FluvioError):
    """The SmartModule's bytes or name break a rule."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"SmartModule {name!r}: {reason}")
        self.name = name
        self.reason = reason


class ModuleNotFound(FluvioError):
    """There is no SmartModule of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"found no SmartModule {name!r}: create it first")
        self.name = name
