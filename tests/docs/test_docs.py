"""The documents say what is true: files exist, commands exist, messages are as declared."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from qd_cli.app import make_app
from qd_schemas.table import LAYOUTS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
FILE = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|xml|sql|md)|[a-z][\w-]*\.py)`")

# What stands before `qd` in a call of it.
BEFORE_QD = re.compile(r"uv|run|[A-Z_]+=.*")


def named_files(document: Path) -> list[str]:
    """Files in code marks; one without a folder lies in the folder named before it."""
    found: list[str] = []
    folder = ""
    for name in FILE.findall(document.read_text()):
        if "/" in name:
            folder = name.rpartition("/")[0]
            found.append(name)
        elif folder:
            found.append(f"{folder}/{name}")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_name_exist(document: Path) -> None:
    missing = [name for name in named_files(document) if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_protocol_document_has_every_message_as_it_is() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    for layout in LAYOUTS.values():
        (row,) = re.findall(rf"^\| {layout.template} \| .*$", text, re.M)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == layout.name
        fields = re.findall(r"(\w+) ([uifb]\d+)( ²)?", cells[2].replace("32 bytes", "b32"))
        assert fields == [
            (field.wire_name, field.kind.name.lower(), " ²" if field.since > layout.since else "")
            for field in layout.fields
        ]
        assert cells[4] == str(layout.total_bytes(2))


def calls_of_qd(lines: str) -> Iterator[list[str]]:
    """The words after `qd`, of each call of it in lines of shell."""
    for line in lines.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
        words.whitespace_split = True
        for is_operator, group in itertools.groupby(words, lambda word: word[0] in "|;&<>"):
            call = list(itertools.dropwhile(BEFORE_QD.fullmatch, group))
            if not is_operator and call[:1] == ["qd"]:
                yield call[1:]


def commands_below(command: Any) -> Iterator[Any]:
    """A command and all that it has."""
    yield command
    for name in getattr(command, "commands", {}):
        yield from commands_below(command.commands[name])


@pytest.fixture(scope="module")
def qd() -> Any:
    """The command `qd`, which parses what it is given, and does nothing."""
    command = get_command(make_app())
    for each in commands_below(command):
        each.callback = lambda **_: None
        for parameter in each.params:
            parameter.callback = None  # the one that installs completion, for example
    return command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_are_as_qd_takes_them(document: Path, qd: Any) -> None:
    for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.S):
        for words in calls_of_qd(block):
            qd.main(words, standalone_mode=False)


def test_examples_in_helps_are_as_qd_takes_them(
    qd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [
        words
        for command in commands_below(qd)
        for words in calls_of_qd((command.help or "").partition("Examples:")[2])
    ]
    assert len(shown) > 100
    for words in shown:
        for name in words:
            if re.fullmatch(r"\w+\.(pem|key)", name):  # those must be there
                Path(name).touch()
        qd.main(words, standalone_mode=False)
