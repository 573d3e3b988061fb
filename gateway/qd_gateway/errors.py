"""The gateway's own errors; none of them reaches a user as an exception.

::

    QdError
     └─ GatewayError
         ├─ StreamRefused    what is asked cannot be streamed; its client is told why
         └─ SinkLost         the client's topic was deleted, and is there again
"""

from __future__ import annotations

from qd_schemas.enums import DataErrorType
from qd_schemas.errors import QdError


class GatewayError(QdError):
    """Anything that the gateway reports by itself."""


class StreamRefused(GatewayError):
    """What is asked cannot be streamed.

    Attributes
    ----------
    error : DataErrorType
        What the client is told.
    """

    def __init__(self, error: DataErrorType, text: str) -> None:
        super().__init__(text)
        self.error = error


class SinkLost(GatewayError):
    """The client's topic was deleted under its stream, and is there again."""
