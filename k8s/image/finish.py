"""The last step of the image's build: leave out what never runs, compile, and set all times.

It works on an installed environment, with the standard library alone. Two builds of the same
sources make the same bytes: files are compiled one after the other in the order of their names,
what is compiled names no time of its source, and all files are of SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import os
import py_compile
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NEVER_RUN: Final = (
    # Tests, and what only compilers and editors read.
    *("**/tests", "pyarrow/include", "pyarrow/src", "numpy/_core/include", "numpy/f2py"),
    *("**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.pxi", "**/*.h", "**/*.hpp", "**/*.a", "**/*.lib"),
    # Arrow over the network, encrypted Parquet: nothing of ours speaks them.
    *("pyarrow/*flight*", "pyarrow/*parquet_encryption*"),
    # The same library under the names that linkers look for; .so.NUMBER is the one that runs.
    *("pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.*.*.*"),
)
"""Below site-packages."""
OF_THE_BUILD: Final = ("direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED")
"""Files of an installed package that tell where and when it was built."""
UNUSED: Final = {
    *("test", "tests", "idlelib", "lib2to3", "turtledemo", "tkinter", "ensurepip"),
    *("pip", "setuptools", "dist-packages"),
}
"""Folders in and below the standard library that no service imports."""
COMPILED: Final = "pycache"
"""Where all that is compiled lies; the image's PYTHONPYCACHEPREFIX."""
COMMANDS: Final = ("python*", "qd")
"""What stays of the environment's commands."""


def tidy(root: Path) -> None:
    """Keep the interpreter, the packages and our command of an environment."""
    commands = root / "bin"
    kept = {path for pattern in COMMANDS for path in commands.glob(pattern)}
    for path in commands.iterdir():
        if path not in kept:
            path.unlink()
    for path in root.iterdir():
        if path.name not in ("bin", "lib", "lib64", "pyvenv.cfg"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def leave_out(packages: Path) -> None:
    """Remove what never runs, and the lines about it in the packages' lists of files."""
    for pattern in NEVER_RUN:
        for path in sorted(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    for listing in packages.glob("*.dist-info/RECORD"):
        for name in OF_THE_BUILD:
            (listing.parent / name).unlink(missing_ok=True)
        kept = [line for line in listing.read_text().splitlines() if _is_there(packages, line)]
        listing.write_text("".join(f"{line}\n" for line in sorted(kept)))


def _is_there(packages: Path, line: str) -> bool:
    name = line.rsplit(",", 2)[0].strip('"')
    return (packages / name).exists()


def compile_all(root: Path, folders: list[Path]) -> None:
    """Compile each module, so that no start does; what is compiled is never checked again.

    It lies apart from its sources, so that the standard library can be among it: base images
    have it uncompiled, and a process with a read-only root would compile it at each start.
    """
    sys.pycache_prefix = str(root / COMPILED)
    for cache in [found for folder in folders for found in folder.rglob("__pycache__")]:
        shutil.rmtree(cache)
    for source in sorted(source for folder in folders for source in folder.rglob("*.py")):
        if UNUSED & set(source.parts):
            continue
        try:
            py_compile.compile(
                str(source),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            continue  # a package's template, or an example for another Python: nothing imports it


def set_times(root: Path, seconds: int) -> None:
    """Give all files and folders the same time."""
    for path in _all_below(root):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def _all_below(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root, topdown=False):
        yield from (Path(folder, name) for name in names)
        yield Path(folder)


def main() -> None:
    """Finish the environment that the command line names first; compile the others too."""
    root = Path(sys.argv[1])
    (packages,) = root.glob("lib/python3.*/site-packages")
    tidy(root)
    leave_out(packages)
    compile_all(root, [packages, *map(Path, sys.argv[2:])])
    set_times(root, int(os.environ["SOURCE_DATE_EPOCH"]))


if __name__ == "__main__":
    main()
