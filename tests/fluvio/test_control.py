"""What the control plane makes of what an SC tells."""

from __future__ import annotations

import pytest

from qd_fluvio.control import ControlPlane
from qd_fluvio.errors import TopicNotFound
from qd_schemas.specs import ClientKind, FluvioSettings
from support.spoiled import TOPIC, spoiled


@pytest.mark.parametrize("unlisted", [0, 1, 2])
async def test_a_replicated_topic_is_served_once_all_its_partitions_are(unlisted: int) -> None:
    """The SC knows where partitions will be before it lists them."""
    async with spoiled(partitions=2, replicas=2, unlisted=unlisted) as cluster:
        control = ControlPlane(FluvioSettings(cluster.endpoint, ClientKind.NATIVE))
        assert await control.is_served(TOPIC) is (unlisted == 0)
        assert len(await control.leaders(TOPIC)) == 2 - unlisted


async def test_a_partition_that_is_not_listed_yet_is_not_found() -> None:
    async with spoiled(partitions=2, replicas=2, unlisted=1) as cluster:
        control = ControlPlane(FluvioSettings(cluster.endpoint, ClientKind.NATIVE))
        assert (await control.leader(TOPIC, 0)).spu
        with pytest.raises(TopicNotFound, match="partition 1"):
            await control.leader(TOPIC, 1)
