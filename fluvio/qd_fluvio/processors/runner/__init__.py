"""Running a processor on topics: consume, process, produce, remember.

What is guaranteed, and by which file: each record is processed (`partition`); an output record
with a stamp is there once, whatever dies when (`outputs`); the state belongs to the input
offset that reading goes on from (`states`).
"""

from qd_fluvio.processors.runner.partition import Counts
from qd_fluvio.processors.runner.run import run_processor, run_until_cancelled
from qd_fluvio.processors.runner.settings import RunSettings

__all__ = ["Counts", "RunSettings", "run_processor", "run_until_cancelled"]
