"""docs/causality.md: its Python runs, from its first line to its last."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import qd_analytics

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "causality.md").read_text()
PROGRAM = "\n".join(re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S))


def test_its_python_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "evaluated to true" in done.stdout


def test_names_that_it_imports_are_public() -> None:
    imported = re.findall(r"^from qd_analytics import (.*)$", TEXT, re.M)
    names = {name.strip() for line in imported for name in line.split(",")}
    assert len(names) > 40
    assert names <= set(qd_analytics.__all__)
