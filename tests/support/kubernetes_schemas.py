"""The published schemas of Kubernetes' kinds, strict: what they do not know is wrong.

The package `kubernetes_validate` reads 1.5 MB of them anew for each object; here each version is
read once.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import kubernetes_validate
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

Json = dict[str, Any]

VERSIONS: Final = ("1.33", "1.35", "1.37")
"""Those that are tried: the oldest and the newest that the manifests are for, and one between."""


def _contents(version: str, name: str) -> Any:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    return kubernetes_validate.utils.schema_contents(f"{folder}/{name}.json", version)


@functools.cache
def _registry(version: str) -> Registry[Any]:
    definitions = Resource.from_contents(_contents(version, "_definitions"))
    registry: Registry[Any] = definitions @ Registry()
    return registry


@functools.cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = _contents(version, f"{kind.lower()}-{group}")
    registry = Resource.from_contents(schema) @ _registry(version)
    return Draft202012Validator(schema, registry=registry)


def faults(found: Json, version: str) -> list[str]:
    """What is wrong with an object by a version's schema; FileNotFoundError for unknown kinds."""
    validator = _validator(version, found["kind"], found["apiVersion"])
    return [
        f"{found['kind']} {found['metadata']['name']}, {version}: "
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in validator.iter_errors(found)
    ]
