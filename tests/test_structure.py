"""The rules of the tree that no linter checks."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import fluvio
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("schemas", "fluvio", "store", "client", "gateway", "symdb", "analytics", "cli")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
UNPINNED = {"qd", "pip", "setuptools", "wheel", "uv"}
GENERATED = "schemas/qd_schemas/symdb_grpc/"


def tracked(*patterns: str) -> list[Path]:
    """The files git knows; all files that match where this is no git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [ROOT / name for name in listed if not name.startswith(GENERATED)]
    return [path for path in found if path.is_file()]


def sources() -> list[Path]:
    return tracked("*.py")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_top_level_folder_is_no_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
    assert (ROOT / folder / f"qd_{folder}" / "__init__.py").is_file()


def test_fluvio_is_the_client_library() -> None:
    assert fluvio.__file__ is not None
    assert "site-packages" in fluvio.__file__


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources()
        for node in functions(path)
        if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long


def test_files_are_short() -> None:
    long = [
        str(path.relative_to(ROOT))
        for path in sources()
        if len(path.read_text().splitlines()) > FILE_LINES_MAX
    ]
    assert not long


def test_each_module_says_its_role() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if not ast.get_docstring(ast.parse(path.read_text() or "''"))
    ]
    assert not silent


def test_no_test_sleeps() -> None:
    sleeping = [
        str(path.relative_to(ROOT))
        for path in tracked("tests/*.py")
        if re.search(r"\b(time|asyncio)\.sleep\((?!0\))", path.read_text())
    ]
    assert not sleeping


def test_every_installed_package_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    pins = set(re.findall(r'^    "([\w-]+==[^ "]+)', text, re.M))
    names = {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in metadata.distributions()
    }
    installed = {f"{name}=={version}" for name, version in names.items() if name not in UNPINNED}
    assert not installed - pins
