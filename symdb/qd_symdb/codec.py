"""Messages to bytes and back: requests are checked, and replies may be bytes already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grpclib import GRPCError, Status

from qd_schemas.symdb_messages import SymdbCodec


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a reply, kept from an earlier one."""

    data: bytes


class CheckedCodec(SymdbCodec):
    """Answers bytes that are no request with a status, not with a logged defect."""

    def encode(self, message: Any, message_type: Any) -> bytes:
        """The bytes of a reply."""
        if isinstance(message, Encoded):
            return message.data
        return super().encode(message, message_type)

    def decode(self, data: bytes, message_type: Any) -> Any:
        """The request that bytes are."""
        try:
            return super().decode(data, message_type)
        except Exception as error:
            raise GRPCError(
                Status.INVALID_ARGUMENT,
                f"{len(data)} bytes that are no {message_type.__name__} ({error})",
            ) from error
