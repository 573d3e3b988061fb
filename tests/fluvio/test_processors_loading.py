"""Processors by name: shipped, of a module, of a file; settings; and errors that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_fluvio.processors import BadProcessor
from qd_fluvio.processors.loading import build, find
from qd_fluvio.processors.runner import RunSettings
from qd_fluvio.processors.shipped import SHIPPED

TWO = """
from qd_fluvio import processors as p

@p.filter(p.JSON)
def large(value):
    "Large ones."
    return value > 10

@p.map(p.JSON)
def doubled(value):
    return value * 2

both = p.chain(large, doubled)

def at_least(limit: int, name: str = "x") -> p.Processor:
    "Those of at least a limit."
    return p.filter(p.JSON)(lambda value: value >= limit)

def odd(limit: list) -> p.Processor:
    return large

number = 3
"""
ONE = """
from qd_fluvio import processors as p

@p.filter
def short(value: bytes) -> bool:
    return len(value) < 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "two.py"
    found.write_text(TWO)
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_processors_are_found_with_their_settings(name: str) -> None:
    found = find(name)
    assert found.about
    assert not any(parameter.is_needed for parameter in found.parameters)
    assert build([name]).steps


def test_of_a_module() -> None:
    assert build(["support.processors:even"]).name == "even"
    assert build(["support.processors:even", "support.processors:halved"]).steps[1].name == "halved"


def test_of_a_file(file: Path, tmp_path: Path) -> None:
    assert find(f"{file}:large").about == "Large ones."
    assert [record.value for record in build([f"{file}:both"]).run([b"4", b"11"])] == [b"22"]
    (tmp_path / "one.py").write_text(ONE)
    assert build([str(tmp_path / "one.py")]).name == "short"


def test_settings(file: Path) -> None:
    limited = build([f"{file}:at_least"], ["limit=5"])
    assert [record.value for record in limited.run([b"4", b"5"])] == [b"5"]
    assert build(["trades-to-bars"], ["resolution=1h"]).steps[0].name == "trades-to-bars-1h"
    both = build(["top-movers", "deduplicate"], ["deduplicate.count=5", "top=3"])
    assert len(both.steps) == 2


@pytest.mark.parametrize(
    ("names", "settings", "says"),
    [
        (["nothing"], [], "no processor is named 'nothing': expected one of sbe-to-json"),
        (["no.such.module:x"], [], "no.such.module cannot be imported: No module named"),
        (["missing.py:x"], [], "there is no file missing.py"),
        (["FILE"], [], "processors there are large, doubled, both: give one as"),
        (["FILE:nope"], [], "has no 'nope': the processors there are large, doubled, both"),
        (["FILE:number"], [], "number is int; expected a processor, or a function"),
        (["json:loads"], [], "json:loads is function; expected a processor"),
        (["json:nope"], [], "json has no 'nope': it has no processors"),
        (["FILE:at_least"], [], "at_least needs --set limit="),
        (["FILE:at_least"], ["limit=x"], "limit is 'x'; expected int"),
        (["FILE:odd"], ["limit=x"], "only str, int and float can be set"),
        (["FILE:large"], ["limit=1"], "no processors have it; there is nothing to set"),
        (["trades-to-bars"], ["size=1"], "there are trades-to-bars.resolution"),
        (["trades-to-bars"], ["resolution"], "expected parameter=value"),
        (["top-movers", "top-movers"], ["top=1"], "2 processors have it"),
    ],
)
def test_errors_say_what_was_found(
    file: Path, names: list[str], settings: list[str], says: str
) -> None:
    with pytest.raises(BadProcessor) as found:
        build([name.replace("FILE", str(file)) for name in names], settings)
    assert says in str(found.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise ValueError('no')", "cannot be imported: ValueError: no"),
        ("from qd_fluvio import processors as p\np.filter(3)", "@filter was given 3; expected"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(BadProcessor) as found:
        build([f"{file}:x"])
    assert says in str(found.value)
    assert "bad.py" in str(found.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"processor_id": "No"}, "the id 'No'; expected at most 50 of a-z"),
        ({"processor_id": "x" * 51}, "give another with --id"),
        ({"source": "No"}, "--from: topic 'No'"),
        ({"to": "a_b"}, "--to: topic 'a_b'"),
        ({"dead_letters": "-"}, "--dead-letter: topic '-'"),
        ({"dead_letters": "in"}, "dead letters go to 'in', which is read or written"),
        ({"to": "in"}, "'in' is read and written"),
        ({"to": "id-state"}, "'id-state' is for the state"),
        ({"finish": True}, "give --once with it"),
        ({"partitions": (1, 1)}, "expected each once, from 0 up"),
    ],
)
def test_runs_that_make_no_sense(changes: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"source": "in", "to": "out", "processor_id": "id", **changes}
    with pytest.raises(BadProcessor) as found:
        RunSettings(**given)  # type: ignore[arg-type]
    assert says in str(found.value)
