"""Names that the manifests and these commands share. Only declarations."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "qd"
FIELD_MANAGER: Final = "qd"
NAME_LABEL: Final = "app.kubernetes.io/name"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
NAME: Final = "qd"
SELECTOR: Final = f"{NAME_LABEL}={NAME}"

RENDERED: Final = "qd.dev/rendered"
"""Annotation of a Job: what it was rendered from. A Job cannot be changed, only made again."""
SECRETS: Final = "qd.dev/secrets"
"""Annotation of a pod template: which Secrets its pods were started with, as uids and digests."""

GATEWAY: Final = "qd-gateway"
ANALYTICS: Final = "qd-analytics"
SYMDB: Final = "qd-symdb"
DATABASE: Final = "qd-database"
BROKER: Final = "qd-broker"
IMPORT: Final = "import"
SHELL: Final = "shell"
ON_DEMAND: Final = (IMPORT, SHELL)
"""Components that a command makes for itself, and no deployment has."""

IMAGE: Final = "qd"
"""The name of the image in the manifests."""
BUILT_IMAGE: Final = "localhost/qd"
"""The name that built images get: no registry is asked for it."""
SECRETS_FOLDER: Final = "/run/qd"
"""Where pods find Secrets: each in a folder of its name."""
