"""What tests of the manifests share: each is rendered once in a test run, whoever needs it."""

from __future__ import annotations

import os

import pytest

from support import manifests


@pytest.fixture(scope="session", autouse=True)
def shared_manifests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Share what is rendered with the run's other processes, where there are any."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        manifests.share(tmp_path_factory.getbasetemp().parent / "manifests")
