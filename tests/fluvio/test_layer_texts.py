"""Each text of the client becomes the error that it is."""

from __future__ import annotations

import pytest

from qd_fluvio import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    OffsetOutOfRange,
    RecordTooLarge,
    TopicDeleted,
    TopicNotFound,
)
from qd_fluvio.official.texts import typed_error

# Texts that the client gave against a real cluster, or that stand in its source.
SEEN = [
    ("Topic not found: nope", TopicNotFound),
    ("Topic not found", TopicNotFound),
    ("Partition not found: nope-0", TopicNotFound),
    ("the topic was not found", TopicNotFound),
    ("the topic was deleted", TopicDeleted),
    ("Other error: start offset: 99 is greater than leo: 0", OffsetOutOfRange),
    ("Offset out of range", OffsetOutOfRange),
    ("Offset 3 is evicted. The next available is 9", OffsetOutOfRange),
    (
        "record size (2000075 bytes), exceeded maximum request size (2000075 bytes)",
        RecordTooLarge,
    ),
    (
        "Socket io Connection refused (os error 111), can't connect to 127.0.0.1:1",
        ClusterUnreachable,
    ),
    (
        "Socket io failed to lookup address information: Name or service not known, "
        "can't connect to no-such-host.invalid:9003",
        ClusterUnreachable,
    ),
    ("Socket io invalid socket address, can't connect to nonsense", ClusterUnreachable),
    ("Socket closed", ConnectionLost),
    ("Socket is stale", ConnectionLost),
    ("Socket error: Socket io Broken pipe (os error 32)", ConnectionLost),
    ("Producer error: Internal error: Socket io Connection reset by peer", ConnectionLost),
    ("failed to get record metadata", ConnectionLost),
    ("the given SPU is not the leader for the partition", ConnectionLost),
    ("the produce request retry timeout limit reached", DeadlineExceeded),
    ("the batch enqueue timeout limit reached", DeadlineExceeded),
    ("the topic configuration is invalid", FluvioError),
    ("Producer received an error code: Partition storage is full", FluvioError),
    ("something new", FluvioError),
]


@pytest.mark.parametrize(("text", "kind"), SEEN)
def test_text(text: str, kind: type[FluvioError]) -> None:
    error = typed_error(text, "create topic 'a'", "localhost:9003")
    assert type(error) is kind
    assert str(error).startswith("create topic 'a' on localhost:9003: ")
    assert text in str(error)
