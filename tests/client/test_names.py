"""What `qd_client` offers: every name, and every error of the tree."""

from __future__ import annotations

import inspect

import pytest

import qd_client
from qd_client import errors


def test_every_name_is_there() -> None:
    for name in qd_client.__all__:
        assert not inspect.ismodule(getattr(qd_client, name)), name
    assert dir(qd_client) == sorted(qd_client.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qd_client.nothing


def test_every_error_can_be_caught() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.QdClientError)
    }
    assert found <= set(qd_client.__all__)
    assert all(name in (errors.__doc__ or "") for name in found)
