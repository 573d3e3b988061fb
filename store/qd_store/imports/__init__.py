"""Import files of trades into a market database: `import_paths`; `check_files` rehearses it.

CSV files, plain or gzipped, folders of them, and zips such as Kraken's own archives. The
file's name tells the market. Each file is one transaction: however an import ends, a market
is as before or complete, and running it again finishes the rest. A file imported before
changes nothing; a later export of the same market adds what is new.
"""

from qd_store.imports.checking import check_files
from qd_store.imports.report import FileResult, FileState, ImportReport, Progress, ProgressCallback
from qd_store.imports.run import import_paths

__all__ = [
    "FileResult",
    "FileState",
    "ImportReport",
    "Progress",
    "ProgressCallback",
    "check_files",
    "import_paths",
]
