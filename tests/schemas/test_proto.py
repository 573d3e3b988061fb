"""The generated gRPC code is that of the proto file."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest

from qd_schemas import symdb_grpc

PROTO = resources.files("qd_schemas").joinpath("proto/symdb.proto").read_text()
MESSAGES = dict(re.findall(r"^message (\w+) \{(.*?)^\}", PROTO, re.MULTILINE | re.DOTALL))
PACKAGE = "qd.symdb.v1"


def test_there_is_something_to_compare() -> None:
    assert f"package {PACKAGE};" in PROTO
    assert "Symbol" in MESSAGES


@pytest.mark.parametrize("name", MESSAGES)
def test_fields(name: str) -> None:
    declared = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", MESSAGES[name])
    message: Any = getattr(symdb_grpc, name)()
    found = {
        field: (meta.number, "message" if meta.proto_type == "message" else meta.proto_type)
        for field, meta in message._betterproto.meta_by_field_name.items()
    }
    assert found == {
        field: (int(number), "message" if kind in MESSAGES else kind)
        for _, kind, field, number in declared
    }


def test_calls() -> None:
    declared = re.findall(r"rpc (\w+)\((\w+)\) returns \((\w+)\);", PROTO)
    found = symdb_grpc.SymbolMasterBase().__mapping__()
    assert {
        route: (handler.request_type.__name__, handler.reply_type.__name__)
        for route, handler in found.items()
    } == {f"/{PACKAGE}.SymbolMaster/{name}": (request, reply) for name, request, reply in declared}
