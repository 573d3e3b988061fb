"""The gateway's own errors; none of them reaches a client as an exception.

::

    QdError
     └─ GatewayError
         ├─ StreamRefused    what is asked cannot be streamed; its client is told why
         ├─ SinkLost         the client's topic was deleted, and is there again
         ├─ SavedStateDamaged  a saved session cannot be read; its client logs in again
         └─ NameTaken        another process has this gateway's name; this one ends
"""

from __future__ import annotations

from qd_gateway.core.plans import Refusal
from qd_schemas.errors import QdError


class GatewayError(QdError):
    """Anything that the gateway reports by itself."""


class StreamRefused(GatewayError):
    """What is asked cannot be streamed.

    Attributes
    ----------
    refusal : Refusal
        What the client is told.
    """

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


class SinkLost(GatewayError):
    """The client's topic was deleted under its stream, and is there again."""


class SavedStateDamaged(GatewayError):
    """What is saved of a session or stream cannot be read."""


class NameTaken(GatewayError):
    """Another process serves under this gateway's name."""
