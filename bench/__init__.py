"""Benchmarks: rates, sizes, and ratios against a limit or a peer, of the same run unless said."""
