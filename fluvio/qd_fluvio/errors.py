"""The errors of the Fluvio layer.

::

    FluvioError              anything about the cluster, its topics and records
     ├─ ClusterUnreachable   nobody answers at the endpoint (retriable)
     ├─ ConnectionLost       the connection broke (retriable)
     ├─ DeadlineExceeded     no answer within the time limit (retriable)
     ├─ TlsFailed            the cluster or this client has no accepted certificate
     │   └─ TlsUnanswered    it closed during the greeting (retriable)
     ├─ TopicNotFound        no topic or partition of that name
     │   └─ TopicDeleted     it was there, and was deleted while it was used
     ├─ TopicExists          the name is taken
     ├─ InvalidTopicName     the name breaks Fluvio's rule
     ├─ OffsetOutOfRange     the offset is not within the partition
     ├─ RecordTooLarge       the record is over the limit
     ├─ RecordsMissing       offsets that the partition should hold do not come
     ├─ WireError            bytes that are not a message of Fluvio's protocol
     └─ LogError             the broker's files cannot be used
"""

from __future__ import annotations

from typing import ClassVar

from qd_schemas.errors import QdError


class FluvioError(QdError):
    """Anything about the cluster, its topics and records."""


class ClusterUnreachable(FluvioError):
    """Nobody answers at the endpoint."""

    retriable: ClassVar[bool] = True


class ConnectionLost(FluvioError):
    """The connection to the cluster broke."""

    retriable: ClassVar[bool] = True


class DeadlineExceeded(FluvioError):
    """The cluster did not answer within the time limit."""

    retriable: ClassVar[bool] = True


class TlsFailed(FluvioError):
    """No secure connection: one side's certificate is missing, or not accepted."""


class TlsUnanswered(TlsFailed):
    """The other side closed during the greeting: it speaks no TLS, or it was just ending."""

    retriable: ClassVar[bool] = True


class TopicNotFound(FluvioError):
    """The cluster has no topic (or no partition of it) of that name."""


class TopicDeleted(TopicNotFound):
    """The topic was deleted while it was used."""


class TopicExists(FluvioError):
    """A topic of that name exists already."""


class InvalidTopicName(FluvioError):
    """The topic's name breaks Fluvio's rule."""


class OffsetOutOfRange(FluvioError):
    """The offset is not within the partition."""


class RecordTooLarge(FluvioError):
    """The record or batch is over the limit."""


class RecordsMissing(FluvioError):
    """Offsets that the partition should hold do not come, however often they are asked for."""


class WireError(FluvioError):
    """Bytes that are not a message of Fluvio's protocol."""


class LogError(FluvioError):
    """The broker's files cannot be used."""
