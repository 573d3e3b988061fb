"""The documents say what is true: files exist, commands exist, messages are as declared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qd_schemas.table import LAYOUTS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
FILE = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|xml|sql|md)|[a-z][\w-]*\.py)`")


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


def test_the_commands_of_the_readme_exist() -> None:
    commands = set(re.findall(r"uv run qd (\w+)", (ROOT / "README.md").read_text()))
    for command in sorted(commands):
        done = subprocess.run(
            [sys.executable, "-m", "qd_cli", command, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, command
