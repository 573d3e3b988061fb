"""Topics, ids and labels, as the protocol has them."""

from __future__ import annotations

import pytest

from qd_schemas import topics
from qd_schemas.enums import Resolution, ServiceId


def test_topics() -> None:
    assert (topics.CONTROL, topics.ALERTS) == ("qdgw-control", "breakout-alerts")
    found = topics.client_topics(77)
    assert found.all == ("client-77-control", "client-77-data", "client-77-error")
    assert found.all == (found.control, found.data, found.error)


def test_client_ids_are_above_the_services() -> None:
    assert max(ServiceId) < topics.CLIENT_ID_MIN == 21
    assert topics.CLIENT_ID_MAX == 65_534


def test_labels() -> None:
    labels = [resolution.label for resolution in Resolution if resolution]
    assert labels == ["1m", "5m", "15m", "30m", "1h", "1d", "1M", "1y"]
    assert [Resolution.parse(label) for label in labels] == list(Resolution)[1:]


@pytest.mark.parametrize("label", ["", "none", "2m", "1D", "M1"])
def test_no_such_label(label: str) -> None:
    with pytest.raises(ValueError, match=r"expected one of 1m, 5m, .*, 1M, 1y"):
        Resolution.parse(label)
