"""The bounds of SmartModules, each with its reason."""

from __future__ import annotations

# Compiling takes about a second for each megabyte, and cannot be interrupted.
WASM_BYTES_MAX = 8 * 1024 * 1024
# One module's memory. A batch of 2 MiB, its records decoded and its output fit many times.
MEMORY_BYTES_MAX = 128 * 1024 * 1024
# All modules' memory, and modules that wait to be compiled. Beyond it new chains are refused,
# and chains that grow end.
TOTAL_BYTES_MAX = 1024 * 1024 * 1024
TABLE_ELEMENTS_MAX = 100_000
CHAIN_MODULES_MAX = 16
CHAINS_MAX = 512
# Compiled modules that are kept for their next use; code is about three times its WASM.
COMPILED_MAX = 64
COMPILED_BYTES_MAX = 32 * 1024 * 1024
# Threads that run modules: one that loops must not stop the others.
THREADS = 2
# How long one piece of work may take in a thread, and how exactly that is measured.
WORK_S_MAX = 5.0
TICK_S = 0.1
# What one piece of work reads at least and at most: enough for the thread to be worth it,
# little enough for others to have their turn.
WORK_BYTES = 256 * 1024
# A batch, opened, and what a module makes of it.
INPUT_BYTES_MAX = 16 * 1024 * 1024
OUTPUT_BYTES_MAX = 16 * 1024 * 1024
# What one response holds of records that were read, when few survive.
SCAN_BYTES_MAX = 4 * 1024 * 1024
LOOKBACK_BYTES_MAX = 16 * 1024 * 1024
