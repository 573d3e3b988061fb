"""The XML, the table, the construct layouts and the dtypes say the same, field by field."""

from __future__ import annotations

import math
from collections.abc import Callable

import construct
import pytest

from qd_schemas import wire
from qd_schemas.arrays import message_dtype
from qd_schemas.constructs import construct_layout
from qd_schemas.errors import EncodeError
from qd_schemas.messages import MESSAGES, Heartbeat, Message
from qd_schemas.table import LAYOUTS
from schemas.xml_schema import NULLS, XmlMessage, read

XML = read()
EACH = pytest.mark.parametrize("message", XML.messages, ids=lambda message: message.name)
EACH_IN_ITS_VERSIONS = pytest.mark.parametrize(
    ("message", "version"),
    [
        pytest.param(message, version, id=f"{message.name}-{version}")
        for message in XML.messages
        for version in range(message.since, 3)
    ],
)

NUMPY = {
    "uint8": "|u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "int64": "<i8",
    "float": "<f4",
    "double": "<f8",
}
CONSTRUCT = {
    "uint8": construct.Int8ul,
    "uint16": construct.Int16ul,
    "uint32": construct.Int32ul,
    "int64": construct.Int64sl,
    "float": construct.Float32l,
    "double": construct.Float64l,
}


def test_schema() -> None:
    expected = {"id": "1", "version": "2", "semanticVersion": "5.2", "byteOrder": "littleEndian"}
    assert {name: XML.attributes[name] for name in expected} == expected
    assert (wire.SCHEMA_ID, wire.VERSION) == (1, 2)


def test_header() -> None:
    assert [(found.get("name"), found.get("primitiveType")) for found in XML.header] == [
        ("blockLength", "uint16"),
        ("templateId", "uint16"),
        ("schemaId", "uint16"),
        ("version", "uint16"),
    ]


def test_the_same_messages() -> None:
    assert [(message.template, message.name, message.since) for message in XML.messages] == [
        (layout.template, layout.wire_name, layout.since) for layout in LAYOUTS.values()
    ]
    templates = [message.TEMPLATE for message in MESSAGES]
    assert templates == sorted(set(templates)), "template ids ascend and none is used twice"


def test_message_types_are_template_ids() -> None:
    assert XML.values(XML.types["MessageType"]) == {
        message.name: message.template for message in XML.messages
    }


@EACH
def test_every_block_begins_with_its_type(message: XmlMessage) -> None:
    first = message.fields[0]
    assert (first.name, first.primitive, first.offset) == ("messageType", "uint16", 0)


@EACH
def test_fields(message: XmlMessage) -> None:
    layout = LAYOUTS[message.template]
    assert [(f.name, f.offset, f.primitive, f.size, f.since) for f in message.fields[1:]] == [
        (f.wire_name, f.offset, f.kind.sbe_name, f.kind.size, f.since) for f in layout.fields
    ]


@EACH
def test_enumerations(message: XmlMessage) -> None:
    for expected, field in zip(message.fields[1:], LAYOUTS[message.template].fields, strict=True):
        values = field.values and {value.name: value.value for value in field.values}
        assert values == expected.values, field.name


@EACH
def test_null_values(message: XmlMessage) -> None:
    for expected, field in zip(message.fields[1:], LAYOUTS[message.template].fields, strict=True):
        if field.since > message.since:
            assert field.default == expected.null, field.name
        else:
            assert field.default in (None, expected.null), "it was always there"


def test_nulls_of_primitive_types() -> None:
    for kind in set(wire.Kind) - {wire.Kind.B32}:
        found = math.nan if kind.null is None else kind.null
        assert found == pytest.approx(NULLS[kind.sbe_name], rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("build", [message_dtype, construct_layout])
def test_a_version_without_the_message(build: Callable[[type[Message], int], object]) -> None:
    with pytest.raises(EncodeError, match="version 1 has no Heartbeat; it came with version 2"):
        build(Heartbeat, 1)


@EACH_IN_ITS_VERSIONS
def test_dtype(message: XmlMessage, version: int) -> None:
    dtype = message_dtype(message.template, version)
    fields = [field for field in message.fields if field.since <= version]
    names = ["message_type", *(f.name for f in LAYOUTS[message.template].fields_in(version))]
    found = dtype.fields
    assert found is not None
    assert dtype.names == (*wire.HEADER_FIELDS, *names)
    assert [(found[n][1] - 8, found[n][0].str) for n in names] == [
        (field.offset, "|V32" if field.length > 1 else NUMPY[field.primitive]) for field in fields
    ]
    assert dtype.itemsize == 8 + sum(field.size for field in fields)


@EACH_IN_ITS_VERSIONS
def test_construct_layout(message: XmlMessage, version: int) -> None:
    layout = construct_layout(message.template, version)
    fields = [field for field in message.fields if field.since <= version]
    block = layout.subcons[4:]
    assert [part.name for part in layout.subcons[:4]] == list(wire.HEADER_FIELDS)
    assert [part.name for part in block[1:]] == [
        field.name for field in LAYOUTS[message.template].fields_in(version)
    ]
    for part, field in zip(block[1:], fields[1:], strict=True):
        if field.length > 1:
            assert isinstance(part.subcon, construct.Bytes)
        else:
            assert part.subcon is CONSTRUCT[field.primitive]
    offsets = [sum(part.sizeof() for part in block[:index]) for index in range(len(block))]
    assert offsets == [field.offset for field in fields]


def test_only_additions_came_with_version_2() -> None:
    """What a version 1 reader knows of a message lies before all that it does not know."""
    for message in XML.messages:
        versions = [field.since for field in message.fields]
        assert versions == sorted(versions), message.name
