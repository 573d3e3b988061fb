"""The names of the topics on which the parts meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONTROL: Final = "qdgw-control"
"""What clients ask of the gateway."""
ALERTS: Final = "breakout-alerts"
"""What the analytics service publishes."""
PROGRESS: Final = "analytics-progress"
"""How far the analytics service is with each market: whose alerts are complete until where."""

CLIENT_ID_MIN: Final = 21
"""Lower ids are services'."""
CLIENT_ID_MAX: Final = 65_534
"""65535 is the null of u16."""


@dataclass(frozen=True, slots=True)
class ClientTopics:
    """The three topics of one client, which it creates and deletes itself."""

    control: str
    data: str
    error: str

    @property
    def all(self) -> tuple[str, str, str]:
        """The three names."""
        return (self.control, self.data, self.error)


def client_topics(client_id: int) -> ClientTopics:
    """The topics of the client with this id."""
    return ClientTopics(
        control=f"client-{client_id}-control",
        data=f"client-{client_id}-data",
        error=f"client-{client_id}-error",
    )
