"""The symbol master's messages as protobuf's own classes, and the codec of both its ends.

The generated dataclasses of `qd_schemas.symdb_grpc` declare the service and its types; to and
from bytes they take a thousand times as long as these, whose fields have the same names.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping
from typing import Any, Final

import betterproto
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpclib.encoding.proto import ProtoCodec

from qd_schemas import symdb_grpc

_PACKAGE: Final = "qd.symdb.v1"


def descriptors() -> Iterator[FileDescriptorProto]:
    """What describes the proto file."""
    file = importlib.resources.files("qd_schemas").joinpath("proto/symdb.binpb")
    yield from FileDescriptorSet.FromString(file.read_bytes()).file


def _classes() -> Mapping[type, Any]:
    pool = DescriptorPool()
    for described in descriptors():
        pool.Add(described)
    return {
        declared: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name, declared in vars(symdb_grpc).items()
        if isinstance(declared, type) and issubclass(declared, betterproto.Message)
    }


_CLASSES: Final = _classes()

ExchangeNameReply: Final = _CLASSES[symdb_grpc.ExchangeNameReply]
ExchangeNameRequest: Final = _CLASSES[symdb_grpc.ExchangeNameRequest]
Exchange: Final = _CLASSES[symdb_grpc.Exchange]
IdBySymbolRequest: Final = _CLASSES[symdb_grpc.IdBySymbolRequest]
ListExchangesReply: Final = _CLASSES[symdb_grpc.ListExchangesReply]
ListExchangesRequest: Final = _CLASSES[symdb_grpc.ListExchangesRequest]
ListSymbolsReply: Final = _CLASSES[symdb_grpc.ListSymbolsReply]
ListSymbolsRequest: Final = _CLASSES[symdb_grpc.ListSymbolsRequest]
LookUpSymbolsReply: Final = _CLASSES[symdb_grpc.LookUpSymbolsReply]
LookUpSymbolsRequest: Final = _CLASSES[symdb_grpc.LookUpSymbolsRequest]
SearchSymbolsReply: Final = _CLASSES[symdb_grpc.SearchSymbolsReply]
SearchSymbolsRequest: Final = _CLASSES[symdb_grpc.SearchSymbolsRequest]
Symbol: Final = _CLASSES[symdb_grpc.Symbol]
SymbolByIdRequest: Final = _CLASSES[symdb_grpc.SymbolByIdRequest]
SymbolChange: Final = _CLASSES[symdb_grpc.SymbolChange]
SymbolChanges: Final = _CLASSES[symdb_grpc.SymbolChanges]
SymbolQuery: Final = _CLASSES[symdb_grpc.SymbolQuery]
SymbolResult: Final = _CLASSES[symdb_grpc.SymbolResult]
WatchSymbolsRequest: Final = _CLASSES[symdb_grpc.WatchSymbolsRequest]


class SymdbCodec(ProtoCodec):
    """Gives messages of these classes where the declared ones are expected, and takes both."""

    def encode(self, message: Any, message_type: Any) -> bytes:
        """The bytes of a message."""
        data: bytes = message.SerializeToString()
        return data

    def decode(self, data: bytes, message_type: Any) -> Any:
        """The message that bytes are."""
        return super().decode(data, _CLASSES.get(message_type, message_type))
