"""gRPC reflection: lets tools such as grpcurl ask for the calls and messages."""

from __future__ import annotations

import importlib.resources
from collections.abc import Collection
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpclib.health.v1 import health_pb2
from grpclib.reflection.service import ServerReflection


def with_reflection(services: Collection[Any]) -> list[Any]:
    """The services, and reflection that describes them."""
    found: list[Any] = ServerReflection.extend(services, pool=_descriptors())
    return found


def _descriptors() -> DescriptorPool:
    """What describes the symbol master's messages and those of health, in a pool of its own."""
    file = importlib.resources.files("qd_schemas").joinpath("proto/symdb.binpb")
    pool = DescriptorPool()
    for described in FileDescriptorSet.FromString(file.read_bytes()).file:
        pool.Add(described)
    health = FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    pool.Add(health)
    return pool
