"""The generated gRPC code is that of the proto file."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from qd_schemas import symdb_grpc

FOLDER = resources.files("qd_schemas").joinpath("proto")
PROTO = FOLDER.joinpath("symdb.proto").read_text()
MESSAGES = dict(re.findall(r"^message (\w+) \{([^}]*)\}", PROTO, re.MULTILINE))
ENUMS = dict(re.findall(r"^enum (\w+) \{([^}]*)\}", PROTO, re.MULTILINE))
CALLS = re.findall(r"rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);", PROTO)
OLD_FIELDS = {
    "ExchangeNameRequest": {"exchange_id": 1},
    "ExchangeNameReply": {"exchange_id": 1, "name": 2},
    "SymbolByIdRequest": {"exchange_id": 1, "symbol_id": 2},
    "IdBySymbolRequest": {"exchange_id": 1, "symbol": 2},
    "ListSymbolsRequest": {"exchange_id": 1},
    "ListSymbolsReply": {"symbols": 1},
    "Symbol": {
        "exchange_id": 1,
        "symbol_id": 2,
        "symbol": 3,
        "trades": 4,
        "first_time": 5,
        "last_time": 6,
    },
}
"""What the first clients speak."""
PACKAGE = "qd.symdb.v1"


def test_there_is_something_to_compare() -> None:
    assert f"package {PACKAGE};" in PROTO
    assert "Symbol" in MESSAGES


@pytest.mark.parametrize("name", MESSAGES)
def test_fields(name: str) -> None:
    declared = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", MESSAGES[name])
    message: Any = getattr(symdb_grpc, name)()
    found = {
        field: (meta.number, meta.proto_type)
        for field, meta in message._betterproto.meta_by_field_name.items()
    }
    assert found == {field: (int(number), _proto_type(kind)) for _, kind, field, number in declared}


def _proto_type(kind: str) -> str:
    return "message" if kind in MESSAGES else "enum" if kind in ENUMS else kind


@pytest.mark.parametrize(("name", "fields"), OLD_FIELDS.items())
def test_old_clients_are_understood(name: str, fields: dict[str, int]) -> None:
    message: Any = getattr(symdb_grpc, name)()
    found = {field: meta.number for field, meta in message._betterproto.meta_by_field_name.items()}
    assert {field: found.get(field) for field in fields} == fields


def test_the_descriptor_is_that_of_the_proto_file() -> None:
    (file,) = FileDescriptorSet.FromString(FOLDER.joinpath("symdb.binpb").read_bytes()).file
    declared = {
        name: re.findall(r"(\w+) = (\d+);", body) for name, body in {**MESSAGES, **ENUMS}.items()
    }
    described = {
        message.name: [(field.name, str(field.number)) for field in message.field]
        for message in file.message_type
    } | {
        enum.name: [(value.name, str(value.number)) for value in enum.value]
        for enum in file.enum_type
    }
    assert described == declared
    (service,) = file.service
    assert [method.name for method in service.method] == [name for name, *_ in CALLS]


def test_calls() -> None:
    found = symdb_grpc.SymbolMasterBase().__mapping__()
    assert {
        route: (
            handler.request_type.__name__,
            handler.cardinality.server_streaming,
            handler.reply_type.__name__,
        )
        for route, handler in found.items()
    } == {
        f"/{PACKAGE}.SymbolMaster/{name}": (request, bool(stream), reply)
        for name, request, stream, reply in CALLS
    }
