"""The closed sets that settings choose from."""

from __future__ import annotations

from enum import Enum


class ClientKind(Enum):
    """Which client speaks to Fluvio."""

    OFFICIAL = "official"
    """Fluvio's own Python client, in processes of its own."""
    NATIVE = "native"
    """This project's client: asyncio on the wire protocol itself."""


class SpuAddress(Enum):
    """Which of an SPU's addresses is used."""

    PUBLIC = "public"
    """The one for every client."""
    LOCAL = "local"
    """The one for clients in the same Kubernetes cluster, where the SPU has one."""


class TokenRule(Enum):
    """Whether a client must have a token to log in; one that has a token must always prove it."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class Version1Rule(Enum):
    """Whether clients of protocol version 1, which cannot prove who they are, may log in."""

    ALLOW = "allow"
    REFUSE = "refuse"


class LogFormat(Enum):
    """How services write their log lines."""

    TEXT = "text"
    """For people: time, level, logger, event and fields."""
    JSON = "json"
    """For programs: one object a line."""


class LogLevel(Enum):
    """The least grave lines that services write."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
