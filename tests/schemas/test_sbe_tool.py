"""The official SBE tool accepts the schema, with its XSD and with warnings as errors.

``QD_SBE_JAR`` names the tool's jar (Maven artifact uk.co.real-logic:sbe-all:1.30.0).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from importlib import resources
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TOOL_SECONDS_MAX = 60


@pytest.fixture
def jar() -> Path:
    found = os.environ.get("QD_SBE_JAR")
    if not found:
        pytest.skip("QD_SBE_JAR does not name the SBE tool's jar (uk.co.real-logic:sbe-all:1.30.0)")
    if shutil.which("java") is None:
        pytest.skip("no java to run the SBE tool with")
    return Path(found)


def run_tool(jar: Path, schema: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    with zipfile.ZipFile(jar) as archive:
        xsd = archive.extract("fpl/sbe.xsd", folder)
    options = {
        "sbe.output.dir": str(folder / "out"),
        "sbe.validation.xsd": xsd,
        "sbe.validation.stop.on.error": "true",
        "sbe.validation.warnings.fatal": "true",
    }
    command = ["java", *(f"-D{name}={value}" for name, value in options.items())]
    return subprocess.run(
        [*command, "-jar", str(jar), str(schema)],
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS_MAX,
        check=False,
    )


def test_the_tool_accepts_the_schema(jar: Path, tmp_path: Path) -> None:
    with resources.as_file(resources.files("qd_schemas").joinpath("sbe/qd.xml")) as schema:
        done = run_tool(jar, schema, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out").rglob("BreakoutAlertEncoder.java"))


def test_the_tool_would_have_refused(jar: Path, tmp_path: Path) -> None:
    """Only a tool that can say no proves something by saying yes."""
    text = resources.files("qd_schemas").joinpath("sbe/qd.xml").read_text()
    broken = tmp_path / "broken.xml"
    broken.write_text(text.replace('type="SymbolID"', 'type="NoSuchType"', 1))
    assert run_tool(jar, broken, tmp_path).returncode != 0
