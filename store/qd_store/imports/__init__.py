"""Import files of trades into a market database: `import_paths`.

CSV files, plain or gzipped, folders of them, and zips such as Kraken's own archives. The
market is the file's stem. Each market is one transaction: however an import ends, a market
is as before or complete, and running it again finishes the rest. A file imported before
changes nothing; a later export of the same market adds what is new.
"""

from qd_store.imports.report import FileResult, FileState, ImportReport, Progress, ProgressCallback
from qd_store.imports.run import import_paths

__all__ = [
    "FileResult",
    "FileState",
    "ImportReport",
    "Progress",
    "ProgressCallback",
    "import_paths",
]
