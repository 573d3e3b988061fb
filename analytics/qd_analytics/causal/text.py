"""The short text form of a graph's edges.

::

    a -> b                  an edge
    a -> b -> c             a chain
    b -> c | d              one cause, two effects
    a | b -> c              two causes, one effect
    e                       a node without edges
    "two words" -> f        any name in quotation marks
    a -> b; b -> c          statements end with ; or with the line
    # a remark              to the end of the line

Digits stand for a number where the graph has a node of that number; in quotation marks they
are a name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qd_analytics.causal.errors import GraphTextError
from qd_analytics.causal.inputs import Key

if TYPE_CHECKING:
    from qd_analytics.causal.graph import Graph

_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t\r]+|\#[^\n]*)
      | (?P<end>[;\n])
      | (?P<arrow>->)
      | (?P<or>\|)
      | "(?P<quoted>[^"\n]*)"
      | (?P<bare>(?:(?!->)[^\s;|"\#])+)
      | (?P<wrong>.)""",
    re.VERBOSE,
)
_PLAIN_NAME: Final = re.compile(r'(?:(?!->)[^\s;|"#])+')
_NUMBER: Final = re.compile(r"-?[0-9]{1,999}")  # Python reads no number of many more digits


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a text says: the nodes it names, in their order, and the edges between them."""

    nodes: tuple[Key, ...]
    edges: tuple[tuple[Key, Key], ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    name: Key
    line: int
    column: int

    @property
    def place(self) -> str:
        return f"line {self.line}, column {self.column}"


def parsed(text: str, known: Container[Key] = ()) -> Wiring:
    """Read a text.

    Parameters
    ----------
    known : container
        The nodes there are, to tell the number 1 from the name "1".

    Raises
    ------
    GraphTextError
        The message says where, what was found and what was expected.
    """
    nodes: dict[Key, None] = {}
    edges: dict[tuple[Key, Key], None] = {}
    for statement in _statements(_tokens(text, known)):
        sides = _sides(statement)
        for side in sides:
            nodes.update(dict.fromkeys(side))
        for causes, effects in itertools.pairwise(sides):
            edges.update(dict.fromkeys(itertools.product(causes, effects)))
    return Wiring(tuple(nodes), tuple(edges))


def _tokens(text: str, known: Container[Key]) -> Iterator[_Token]:
    line, line_start = 1, 0
    for match in _TOKEN.finditer(text):
        kind, found = str(match.lastgroup), match.group()
        token = _Token(kind, found, line, match.start() - line_start + 1)
        if kind == "wrong":
            raise GraphTextError(
                f"{token.place}: found {found!r}; a name in quotation marks ends on its line"
            )
        if kind in ("quoted", "bare"):
            name = match.group(kind)
            if not name:
                raise GraphTextError(f"{token.place}: a name is empty; give it a letter or more")
            yield _Token("name", _key(name, kind, known), token.line, token.column)
        elif kind != "blank":
            yield token
        if found == "\n":
            line, line_start = line + 1, match.end()


def _key(name: str, kind: str, known: Container[Key]) -> Key:
    if kind == "bare" and _NUMBER.fullmatch(name) and int(name) in known:
        return int(name)
    return name


def _statements(tokens: Iterator[_Token]) -> Iterator[list[_Token]]:
    statement: list[_Token] = []
    for token in tokens:
        # A line may go on after an arrow or a bar.
        goes_on = bool(statement) and statement[-1].kind in ("arrow", "or")
        if token.kind == "end" and not (goes_on and token.name == "\n"):
            if statement:
                yield statement
            statement = []
        elif token.kind != "end":
            statement.append(token)
    if statement:
        yield statement


def _sides(statement: list[_Token]) -> list[list[Key]]:
    """The names between arrows."""
    sides: list[list[Key]] = [[]]
    name_next = True
    for token in statement:
        if (token.kind == "name") is not name_next:
            expected = "a name" if name_next else "'->', '|' or ';'"
            raise GraphTextError(f"{token.place}: found {token.name!r}; expected {expected}")
        if token.kind == "name":
            sides[-1].append(token.name)
        elif token.kind == "arrow":
            sides.append([])
        name_next = not name_next
    if name_next:
        last = statement[-1]
        raise GraphTextError(f"{last.place}: nothing follows {last.name!r}; expected a name")
    return sides


def text_of(graph: Graph) -> str:
    """A graph's edges as text, a line for each cause; `parsed` reads it back."""
    effects: dict[Key, list[Key]] = {node.id: [] for node in graph.nodes}
    has_cause = set()
    for cause, effect in graph.edges:
        effects[cause].append(effect)
        has_cause.add(effect)
    lines = []
    for cause, found in effects.items():
        if found:
            lines.append(f"{_shown(cause)} -> {' | '.join(map(_shown, found))}")
        elif cause not in has_cause:
            lines.append(_shown(cause))
    return "\n".join(lines)


def _shown(name: Key) -> str:
    if isinstance(name, int) or (_PLAIN_NAME.fullmatch(name) and not _NUMBER.fullmatch(name)):
        return str(name)
    if not name or '"' in name or "\n" in name:
        raise GraphTextError(
            f"the name {name!r} has no text form; it is empty, or holds a quotation mark or line"
        )
    return f'"{name}"'
