"""The root of all errors of the system.

::

    QdError                 anything the system reports to its user
     ├─ DecodeError         bytes that are not a message of the schema
     ├─ EncodeError         a message that its bytes cannot hold
     ├─ SettingError        a setting that is missing or makes no sense
     ├─ qd_fluvio.errors    the cluster, its topics and records
     ├─ qd_store.errors     the database and its files
     ├─ qd_client.errors    what the gateway and symdb refuse
     └─ qd_analytics.errors causal models and their data

Each message says what was found, what was expected, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class QdError(Exception):
    """Anything the system reports to its user.

    Attributes
    ----------
    retriable : bool
        True where the same call may succeed later, unchanged.
    """

    retriable: ClassVar[bool] = False


class DecodeError(QdError):
    """Bytes that are not a message of the schema."""


class EncodeError(QdError):
    """A message that its bytes cannot hold: a field out of range, or a version without it."""


class SettingError(QdError):
    """A setting that is missing or makes no sense."""
