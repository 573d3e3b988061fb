"""The local broker: one process that clients take for a Fluvio cluster.

It speaks Fluvio's wire protocol on two ports (the SC's and one SPU's), keeps partitions
in files, and runs as `python -m qd_fluvio.broker`. Nothing of the system imports it.
"""
