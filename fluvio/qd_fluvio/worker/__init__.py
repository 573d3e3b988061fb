"""Worker processes: the official client, alone in a process that may be killed.

The client holds Python's interpreter lock while it waits and can hang for ever, so it never
runs in a service's own process. Parent and worker talk over a socket pair (`frames`).
Nothing here runs an event loop.
"""
