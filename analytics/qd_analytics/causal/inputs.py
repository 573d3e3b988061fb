"""What rules read: names in the data, and places in a context; and how members combine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qd_analytics.causal.context import IndexName

Key = str | int
RuleFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class FromContext:
    """An input that a rule reads from a context.

    Parameters
    ----------
    index : IndexName
        Which node, such as the previous month.
    field : str
        Which of its numbers.
    context : str, optional
        Name of the context; None for the first one given.
    """

    index: IndexName
    field: str
    context: str | None = None

    def __str__(self) -> str:
        where = f"{self.context}: " if self.context else ""
        return f"{where}{self.index.value} {self.field}"


Input = str | int | FromContext
Data = Mapping[Any, Any]  # a number for each name; names are str or int
Columns = Mapping[Any, Any]  # an array for each name


class Logic(Enum):
    """How a collection's members combine."""

    ALL = "all"
    ANY = "any"
    NONE = "none"
    AT_LEAST = "at least"
