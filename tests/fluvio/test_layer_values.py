"""Values of the layer's interface: what makes no sense cannot be made."""

from __future__ import annotations

from typing import Any

import pytest

from qd_fluvio import Deduplication, Offset, TopicSettings
from qd_schemas.errors import SettingError


@pytest.mark.parametrize(
    "settings",
    [
        {"partitions": 0},
        {"partitions": 2**32},
        {"replication": 0},
        {"retention_s": 9},
        {"retention_s": 2**32},
        {"segment_bytes": 2**32},
        {"max_partition_bytes": 2**63},
    ],
)
def test_topic_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        TopicSettings(**settings)


@pytest.mark.parametrize("bounds", [(0, None), (1, 0)])
def test_deduplication(bounds: tuple[int, int | None]) -> None:
    with pytest.raises(SettingError, match="0; give 1 or more"):
        Deduplication(*bounds)


def test_offset() -> None:
    with pytest.raises(SettingError, match="-1"):
        Offset.absolute(-1)
    assert [str(o) for o in (Offset.beginning(), Offset.end(), Offset.absolute(7))] == [
        "beginning",
        "end",
        "7",
    ]
