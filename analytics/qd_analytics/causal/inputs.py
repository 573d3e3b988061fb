"""What rules read: names in the data, places in a context, causes; and how members combine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from qd_analytics.causal.context import ContextName

Key = str | int
RuleFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class FromContext:
    """An input that a rule reads from a context.

    Parameters
    ----------
    index : IndexName, str or int
        Which node: an index name such as the previous month, a name of one's own, or the
        node's id.
    field : str
        Which of its numbers.
    context : str, optional
        Name of the context; None for the first one given.
    """

    index: ContextName
    field: str
    context: str | None = None

    def __str__(self) -> str:
        where = f"{self.context}: " if self.context else ""
        name = self.index.value if isinstance(self.index, Enum) else self.index
        return f"{where}{name} {self.field}"


@dataclass(frozen=True, slots=True)
class FromCauses:
    """An input that is what the node's causes say, combined by the node's join.

    Parameters
    ----------
    start : str or int
        The name in the data that a node without causes reads instead: at a graph's
        beginning, or where a question starts.
    """

    start: Key = "observation"

    def __str__(self) -> str:
        return "causes"


Input = str | int | FromContext
Data = Mapping[Any, Any]  # a number for each name; names are str or int
Columns = Mapping[Any, Any]  # an array for each name


class Logic(Enum):
    """How a collection's members, or a node's causes, combine."""

    ALL = "all"
    ANY = "any"
    NONE = "none"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class RelayTo:
    """What a rule answers to hand over to another node of its graph.

    Attributes
    ----------
    target : str or int
        The node to go on from.
    data : mapping
        Values that are added to the data, or replace some, from there on.
    """

    target: Key
    data: Mapping[Key, float] = field(default_factory=dict)
