"""What all parts of the system agree on: messages, topics, ids, settings; no input or output.

The messages are Simple Binary Encoding, declared once in `qd_schemas.messages` and, for other
languages, in ``sbe/qd.xml``. `codec` reads and writes one message, `frames` whole arrays of
trades and bars, `constructs` declares the same layouts in construct. `topics` names the
topics, `specs` the services and their settings, `symdb_grpc` is the symbol master's protobuf.
"""

from qd_schemas.codec import decode, encode, iter_messages
from qd_schemas.errors import DecodeError, EncodeError, QdError, SettingError

__all__ = [
    "DecodeError",
    "EncodeError",
    "QdError",
    "SettingError",
    "decode",
    "encode",
    "iter_messages",
]
