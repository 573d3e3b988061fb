"""The official client behind the layer's Protocols, from a safe distance: see `qd_fluvio.worker`.

Everything here runs in the service's event loop and never blocks it.
"""
