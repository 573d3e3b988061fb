"""`python -m qd_analytics`: the alert service, set up by environment variables alone."""

from __future__ import annotations

import os
import random
import sys

from qd_analytics.models.loading import choose_all
from qd_analytics.service import AlertService
from qd_fluvio import service
from qd_schemas.specs import AnalyticsSettings


async def _main() -> None:
    settings = AnalyticsSettings.from_env(os.environ)
    models = choose_all(settings.models)

    def ready(metrics: str) -> None:
        service.ready(**({"metrics": metrics} if metrics else {}))

    await AlertService(settings, models, ready, random.Random()).run()


if __name__ == "__main__":
    sys.exit(service.run("qd_analytics", _main))
