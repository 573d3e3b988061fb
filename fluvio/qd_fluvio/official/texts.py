"""The client's error texts, and the error that each one is.

The client has one exception class for everything, so its words are all there is to go by.
Pure: text in, error out.
"""

from __future__ import annotations

import re

from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    OffsetOutOfRange,
    RecordTooLarge,
    TopicDeleted,
    TopicNotFound,
)

# (what the text contains, the error, what to do); the first that matches counts.
TEXTS: tuple[tuple[str, type[FluvioError], str], ...] = (
    (r"topic was deleted", TopicDeleted, "create it anew, or use another"),
    (
        r"(topic|partition) (was )?not found",
        TopicNotFound,
        "create it, or wait until it is ready",
    ),
    (r"storage is full", FluvioError, "make room on the disk of the partition's leader"),
    (
        r"exceeded maximum request size|message is too large",
        RecordTooLarge,
        "split the record",
    ),
    (
        r"offset out of range|is evicted|is greater than leo|is less than start",
        OffsetOutOfRange,
        "start within the partition",
    ),
    (
        r"can't connect to|failed to lookup address|invalid socket address",
        ClusterUnreachable,
        "check the endpoint and that the cluster is up",
    ),
    (r"timed? ?out|timeout", DeadlineExceeded, "try again when the cluster is less busy"),
    (
        r"socket|connection|broken pipe|unexpected end of file|not the leader|not a leader|"
        r"spu not found|spu is offline|failed to get record metadata|max retry attempts",
        ConnectionLost,
        "try again",
    ),
)
_TABLE = tuple((re.compile(text, re.IGNORECASE), kind, advice) for text, kind, advice in TEXTS)


def typed_error(text: str, doing: str, endpoint: str) -> FluvioError:
    """The error that the client's text stands for.

    Parameters
    ----------
    text : str
        What the client said.
    doing : str
        What it was asked to do, such as ``send to topic 'a'``.
    endpoint : str
        The cluster.
    """
    for pattern, kind, advice in _TABLE:
        if pattern.search(text):
            return kind(f"{doing} on {endpoint}: {text}; {advice}")
    return FluvioError(f"{doing} on {endpoint}: {text}")
