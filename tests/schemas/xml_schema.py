"""The SBE schema read from its XML alone, independently of the package's own table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib import resources
from xml.etree import ElementTree

SBE = "{http://fixprotocol.io/2016/sbe}"
SIZES = {"uint8": 1, "uint16": 2, "uint32": 4, "int64": 8, "float": 4, "double": 8}
NULLS: dict[str, float] = {
    "uint8": 2**8 - 1,
    "uint16": 2**16 - 1,
    "uint32": 2**32 - 1,
    "int64": 2**63 - 1,
    "float": math.nan,
    "double": math.nan,
}


@dataclass(frozen=True)
class XmlField:
    name: str
    primitive: str
    offset: int
    since: int
    null: float
    values: dict[str, int] | None
    length: int = 1

    @property
    def size(self) -> int:
        return self.length * SIZES[self.primitive]


@dataclass(frozen=True)
class XmlMessage:
    name: str
    template: int
    since: int
    fields: list[XmlField] = field(default_factory=list)


class XmlSchema:
    """The whole schema."""

    def __init__(self, text: str) -> None:
        root = ElementTree.fromstring(text)
        self.attributes = root.attrib
        types = root.findall("./types/*")
        self.header = root.findall("./types/composite[@name='messageHeader']/type")
        self.types = {found.attrib["name"]: found for found in types}
        self.messages = [self._message(found) for found in root.findall(f"{SBE}message")]

    def _message(self, element: ElementTree.Element) -> XmlMessage:
        since = int(element.get("sinceVersion", "1"))
        message = XmlMessage(element.attrib["name"], int(element.attrib["id"]), since)
        offset = 0
        for found in element.findall("field"):
            message.fields.append(self._field(found, offset, since))
            offset += message.fields[-1].size
        return message

    def _field(self, element: ElementTree.Element, offset: int, since: int) -> XmlField:
        declared = self.types[element.attrib["type"]]
        primitive = declared.get("primitiveType") or declared.attrib["encodingType"]
        return XmlField(
            name=element.attrib["name"],
            primitive=primitive,
            offset=offset,
            since=int(element.get("sinceVersion", since)),
            null=self._null(declared, primitive),
            values=self.values(declared) if declared.tag == "enum" else None,
            length=int(declared.get("length", "1")),
        )

    @staticmethod
    def _null(declared: ElementTree.Element, primitive: str) -> float:
        given = declared.get("nullValue")
        if given is None:
            return NULLS[primitive]
        return float(given) if primitive in ("float", "double") else int(given)

    @staticmethod
    def values(enum: ElementTree.Element) -> dict[str, int]:
        """An enumeration's names and values."""
        found = enum.findall("validValue")
        return {value.attrib["name"]: int(value.text or "") for value in found}


def read() -> XmlSchema:
    """Read the schema as a user of the installed package finds it."""
    return XmlSchema(resources.files("qd_schemas").joinpath("sbe/qd.xml").read_text())
