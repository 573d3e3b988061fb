"""SmartModules: WASM that consumers and producers have their records pass.

::

    records     walking, cutting and joining records that stay bytes
    interface   what goes into a module's memory and what comes out, as bytes
    sections    what is checked of a module before it is compiled
    engine      one module in wasmtime, bounded; imported when one is first used
    chain       several modules in a row, and which module a request means
    runner      chains on a few threads, off the event loop, with bounds for all of them
    lookback    the earlier records that a module wants to see first
    transform   batches in, one batch out: what consumers get and what producers store
    filters     topics that drop duplicates by a module: one chain for each partition

Nothing here knows the network. Real SPUs do the same through the same interface, so a
module that runs there runs here.
"""
