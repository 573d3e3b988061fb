"""``qd`` called within this process, and how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qd_cli.main import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    bytes: bytes
    err: str

    @property
    def out(self) -> str:
        return self.bytes.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of a command that has to succeed."""
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.lines]


class Qd:
    """Runs ``qd`` within this process, so that many commands are tried in little time."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Done:
        self._capture.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Done(code, out, err.decode())

    def json(self, *arguments: str | Path) -> list[dict[str, Any]]:
        return self(*arguments, "--json").objects
