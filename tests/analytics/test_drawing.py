"""DOT, Mermaid and pictures of causaloids and contexts, coloured by an evaluation."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from qd_analytics import (
    Collection,
    Context,
    Datoid,
    FromContext,
    Graph,
    Logic,
    Relation,
    Root,
    Singleton,
    Spaceoid,
    SpaceTempoid,
    State,
    Tempoid,
    TimeScale,
    draw,
    picture,
    threshold,
    to_dot,
    to_mermaid,
)
from qd_analytics.causal.diagram import STATE_LOOKS, USED
from qd_analytics.causal.errors import ModelError, NoDrawing, TooLargeToDraw

PNG_START = b"\x89PNG\r\n\x1a\n"


def drawn_graph() -> Graph:
    inner = Graph("inner")
    inner.add(threshold("i", 0.5), threshold("j", 0.5))
    inner.connect("i", "j")
    graph = Graph("outer", 'says "why" & <how>')
    graph.add(
        threshold("a", 0.5),
        Collection("some", [threshold(1, 0.5), threshold(1, 0.6)], Logic.ANY),
        Singleton("b", lambda x, low: x > low, ["b", FromContext("month", "low")], "above $low$"),
    )
    graph.add(inner, join=Logic.ANY)
    graph.connect_all([("a", "some"), ("some", "b"), ("some", "inner")], [1.0, 1.0, 2.5])
    return graph


def drawn_context() -> Context:
    context = Context("months")
    context.add(
        Root(0),
        Tempoid(1, TimeScale.MONTH, 202402),
        Datoid(2, {"low": 0.3}),
        Datoid(3, {"low": 0.1}),
        Spaceoid(4, 1, 2, 3),
        SpaceTempoid(5, 1, 2, 3, 4),
    )
    context.relate(0, 1, Relation.TEMPORAL)
    context.relate(1, 2, Relation.DATIAL)
    context.relate(0, 4, Relation.SPATIAL)
    context.relate(4, 5, Relation.SPACE_TEMPORAL)
    context.relate(5, 0, Relation.TEMPORAL)  # contexts may go round
    context.point("month", 1)
    return context


DATA = {"a": 1.0, 1: 0.55, "b": 0.2, "i": 1.0, "j": float("nan")}
RECORD = drawn_graph().evaluate(DATA, drawn_context())


def test_dot() -> None:
    text = to_dot(drawn_graph(), RECORD)
    boxes = dict(re.findall(r'^  "(\S+)" \[label=.*fillcolor="(#\w+)"', text, re.M))
    looks = {state: STATE_LOOKS[state].fill for state in State}
    assert boxes == {
        "/'a'": looks[State.TRUE],
        "/'some'": looks[State.TRUE],
        "/'some'/0": looks[State.TRUE],
        "/'some'/1": looks[State.FALSE],
        "/'b'": looks[State.FALSE],
        "/'inner'": looks[State.ERROR],
        "/'inner'/'i'": looks[State.TRUE],
        "/'inner'/'j'": looks[State.ERROR],
    }
    assert '"/\'some\'" -> "/\'inner\'" [label="2.5"];' in text
    assert "\"/'some'\" -> \"/'some'/0\" [style=dashed];" in text
    assert 'says \\"why\\" & <how>: error' in text
    assert text.count("{") == text.count("}") == 1


def test_mermaid() -> None:
    text = to_mermaid(drawn_graph(), RECORD)
    assert text.startswith("flowchart TD\n")
    assert 'n1("some<br/>any of 2")' in text
    assert "n1 -.-> n2" in text
    assert '-->|"2.5"|' in text
    assert text.count("style n") == 8
    quoted = Graph("g")
    quoted.add(Singleton("q", lambda x: x > 0, description='"x" > 0 # & <y>'))
    assert "#quot;x#quot; #gt; 0 #35; #amp; #lt;y#gt;" in to_mermaid(quoted)


def test_a_context() -> None:
    for text in (to_dot(drawn_context(), RECORD), to_mermaid(drawn_context(), RECORD)):
        assert text.count(USED.fill) == 1, "the one node that the rules read"
        for shown in ("month 202402", "low = 0.3", "at 1, 2, 3", "temporal", "root 0"):
            assert shown in text


@pytest.mark.parametrize("drawn", [drawn_graph(), drawn_context(), threshold("one", 0.5)])
def test_pictures(drawn: Graph | Context, tmp_path: Path) -> None:
    record = RECORD if isinstance(drawn, (Graph, Context)) else None
    draw(drawn, tmp_path / "drawn.svg", record)
    draw(drawn, tmp_path / "drawn.png", record)
    svg = (tmp_path / "drawn.svg").read_bytes()
    assert (tmp_path / "drawn.png").read_bytes().startswith(PNG_START)
    assert svg == picture(drawn, "svg", record), "the same picture is the same file"
    root = ElementTree.fromstring(svg)
    words = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    if isinstance(drawn, Graph):
        assert {"a", "some", "inner", "above $low$", "true", "error"} <= words
        fills = set(re.findall(rb"fill: (#\w+)", svg))
        assert {STATE_LOOKS[s].fill.encode() for s in (State.TRUE, State.ERROR)} <= fills
    elif isinstance(drawn, Context):
        assert {"root 0", "month 202402", "datial", "read by the rules"} <= words
    else:
        assert "one" in words


def test_who_draws_nothing_loads_no_drawing_library() -> None:
    """Nor does igraph, which would; it keeps its own drawing where matplotlib came first."""
    loaded = "import sys; assert ('matplotlib' in sys.modules, 'rich' in sys.modules) == "
    drawing = "import qd_analytics, igraph.drawing.shapes as s; assert hasattr(s.mpl, 'rc') is "
    for program in (
        f"import qd_analytics; {loaded} (False, False); import matplotlib",
        f"{drawing} False",
        f"import matplotlib; {drawing} True",
    ):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_without_the_drawing_library_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    small = Graph("small")
    small.add(threshold("price", 0.5))
    with pytest.raises(NoDrawing, match="need the package matplotlib"):
        picture(small, "svg")


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    large = Graph("large")
    large.add(*(threshold(at, 0.5) for at in range(501)))
    with pytest.raises(TooLargeToDraw, match="501 nodes, at most 500"):
        picture(large, "svg")
    assert to_dot(large).count("label=") == 502
    with pytest.raises(ModelError, match="svg or png, not 'gif'"):
        draw(large, tmp_path / "large.gif")
    with pytest.raises(ModelError, match="cannot colour"):
        to_dot(large, RECORD)


def test_a_tree_on_a_terminal() -> None:
    shown = io.StringIO()
    Console(width=100, color_system=None, file=shown).print(RECORD.tree())
    lines = shown.getvalue().splitlines()
    assert lines[0].startswith("! outer")
    assert "├── ✓ a" in lines[1]
    assert any("└── ! j" in line and "'j' is nan" in line for line in lines)
    assert any("✗ b  above $low$  [b=0.2, month low=0.3]  false" in line for line in lines)


def test_data() -> None:
    data = RECORD.as_data()
    assert (data["id"], data["state"]) == ("outer", "error")
    assert [node["id"] for node in data["nodes"]] == ["a", "some", "b", "inner"]
    assert data["nodes"][2] == {
        "id": "b",
        "state": "false",
        "description": "above $low$",
        "value": False,
        "read": {"b": 0.2, "month low": 0.3},
    }
    assert RECORD.as_data("a")["read"] == {"a": 1.0}


@pytest.mark.parametrize(
    "odd", ["a\x00b", "\x1b[31mred", "two\nlines", "\ud800", "x" * 5_000, "$x^2$"]
)
def test_pictures_of_odd_names(odd: str) -> None:
    graph = Graph(odd, odd)
    graph.add(threshold(odd, 0.5, description=odd))
    context = Context(odd)
    context.add(Datoid(1, {odd: 1.0}))
    for drawn in (graph, context):
        ElementTree.fromstring(picture(drawn, "svg"))
        png = picture(drawn, "png")
        assert png.startswith(PNG_START)
        assert int.from_bytes(png[16:20]) < 5_000, "pixels across"
