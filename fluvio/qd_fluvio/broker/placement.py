"""Whether a cluster of one SPU can hold the replicas that a topic asks for.

Pure, and in the order in which Fluvio's SC looks at them, so that the codes are the same.
"""

from __future__ import annotations

from qd_fluvio.broker.errors import InvalidReplicas, ReplicasUnplaced
from qd_fluvio.broker.settings import SPU_ID
from qd_fluvio.wire.metadata import AssignedPartition, AssignedReplicas, ComputedReplicas, TopicSpec


def check_replicas(spec: TopicSpec) -> None:
    """Refuse replicas that make no sense, or for which one SPU is not enough.

    Raises
    ------
    InvalidReplicas
        If no cluster could hold them.
    ReplicasUnplaced
        If a cluster of more SPUs could.
    """
    if isinstance(spec.replicas, AssignedReplicas):
        _check_assigned(spec.replicas.partitions)
    else:
        _check_computed(spec.replicas)


def _check_computed(replicas: ComputedReplicas) -> None:
    if replicas.partitions == 0:
        raise InvalidReplicas("found 0 partitions, expected 1 or more")
    if replicas.replication_factor == 0:
        raise InvalidReplicas("found a replication factor of 0, expected 1")
    if replicas.replication_factor > 1:
        raise ReplicasUnplaced(
            f"found a replication factor of {replicas.replication_factor}, expected 1: "
            "this cluster has one SPU"
        )


def _check_assigned(partitions: tuple[AssignedPartition, ...]) -> None:
    numbers = [item.partition for item in partitions]
    if not partitions or numbers != list(range(len(partitions))):
        raise InvalidReplicas(f"found assigned partitions {numbers}, expected 0, 1, 2 and so on")
    for item in partitions:
        if item.replicas != (SPU_ID,):
            raise InvalidReplicas(
                f"found replicas {list(item.replicas)} for partition {item.partition}, "
                f"expected [{SPU_ID}]: it is the only SPU of this cluster"
            )
