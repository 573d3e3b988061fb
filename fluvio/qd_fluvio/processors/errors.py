"""The errors of record processors.

::

    FluvioError
     └─ ProcessorError     anything about processors and those that run them
         ├─ BadProcessor   a processor that is made, named or set wrongly
         ├─ RecordFailed   a record that a processor could not process
         ├─ StateUnusable  a state that is not this processor's, or not whole
         ├─ NotAlone       another writer where this processor must be the only one
         └─ TakenOver      another process runs the same processor
"""

from __future__ import annotations

from qd_fluvio.errors import FluvioError


class ProcessorError(FluvioError):
    """Anything about processors and those that run them."""


class BadProcessor(ProcessorError):
    """A processor that is made, named or set wrongly."""


class RecordFailed(ProcessorError):
    """A record that a processor could not process."""


class StateUnusable(ProcessorError):
    """A state that is not this processor's, or not whole."""


class NotAlone(ProcessorError):
    """Another writer where this processor must be the only one, or results that vary."""


class TakenOver(ProcessorError):
    """Another process runs the same processor; this one must not go on."""
