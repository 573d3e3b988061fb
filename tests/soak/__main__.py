"""`python -m soak --minutes 10 [--seed N]`: soak, print what was found, fail on a lost record."""

from __future__ import annotations

import argparse
import secrets
import sys

from soak.driver import ActorFailed, Plan, soak


def main() -> int:
    """Soak; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench soak")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of random kills")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    plan = Plan(given.minutes * 60, given.seed)
    print(f"soaking for {given.minutes:g} min, seed {plan.seed}", flush=True)
    failed: list[str] = []
    try:
        outcome = soak(plan)
        print(outcome.text(plan))
        failed += outcome.verdict.faults
    except* (ActorFailed, TimeoutError) as errors:
        failed += map(str, errors.exceptions)
        print(f"seed {plan.seed} failed", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
