"""Diagrams as text for other programs: DOT (Graphviz) and Mermaid."""

from __future__ import annotations

import html

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Context
from qd_analytics.causal.diagram import Box, diagram_of
from qd_analytics.causal.evaluation import Evaluation


def to_dot(drawn: Causaloid | Context, record: Evaluation | None = None) -> str:
    """A causaloid or context in Graphviz's language, coloured by an evaluation."""
    diagram = diagram_of(drawn, record)
    lines = [
        f"digraph {_quoted(diagram.title)} {{",
        f"  label={_quoted(diagram.title)}; labelloc=t; rankdir=TB;",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    for box in diagram.boxes:
        label = _quoted("\n".join((box.title, *box.lines)))
        colours = f'fillcolor="{box.look.fill}", color="{box.look.line}"'
        lines.append(f"  {_quoted(box.key)} [label={label}, {colours}];")
    for arrow in diagram.arrows:
        options = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        options += ["style=dashed"] if arrow.dashed else []
        tail = f" [{', '.join(options)}]" if options else ""
        lines.append(f"  {_quoted(arrow.source)} -> {_quoted(arrow.target)}{tail};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_mermaid(drawn: Causaloid | Context, record: Evaluation | None = None) -> str:
    """A causaloid or context as a Mermaid flowchart, coloured by an evaluation."""
    diagram = diagram_of(drawn, record)
    names = {box.key: f"n{number}" for number, box in enumerate(diagram.boxes)}
    lines = ["flowchart TD"]
    lines += [f'  {names[box.key]}("{_label(box)}")' for box in diagram.boxes]
    for arrow in diagram.arrows:
        line = "-.->" if arrow.dashed else "-->"
        label = f'|"{_escaped(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {names[arrow.source]} {line}{label} {names[arrow.target]}")
    lines += [
        f"  style {names[box.key]} fill:{box.look.fill},stroke:{box.look.line}"
        for box in diagram.boxes
    ]
    return "\n".join(lines) + "\n"


def _label(box: Box) -> str:
    return "<br/>".join(map(_escaped, (box.title, *box.lines)))


def _escaped(text: str) -> str:
    """Text that Mermaid takes as text: its entities are HTML's, with # for &."""
    escaped = html.escape(text, quote=True).replace("#", "#35;").replace("&", "#")
    return escaped.replace("##35;", "#").replace("\n", "<br/>")
