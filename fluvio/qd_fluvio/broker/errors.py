"""Errors that only the broker's own parts raise, beside those of `qd_fluvio.errors`.

::

    FluvioError
     ├─ InvalidTopicSettings  a topic that one local broker cannot have
     └─ LogError
         └─ StorageFull       no room for a batch
"""

from __future__ import annotations

from qd_fluvio.errors import FluvioError, LogError


class InvalidTopicSettings(FluvioError):
    """The topic's settings make no sense, or not on a cluster of one SPU."""


class StorageFull(LogError):
    """The disk or its quota has no room for the batch."""
