"""gRPC reflection: lets tools such as grpcurl ask for the calls and messages."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpclib.health.v1 import health_pb2
from grpclib.reflection.service import ServerReflection

from qd_schemas.symdb_messages import descriptors


def with_reflection(services: Collection[Any]) -> list[Any]:
    """The services, and reflection that describes them."""
    found: list[Any] = ServerReflection.extend(services, pool=_descriptors())
    return found


def _descriptors() -> DescriptorPool:
    """What describes the symbol master's messages and those of health, in a pool of its own."""
    pool = DescriptorPool()
    for described in descriptors():
        pool.Add(described)
    health = FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    pool.Add(health)
    return pool
