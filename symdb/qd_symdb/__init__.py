"""The symbol master: a gRPC service that resolves symbols and ids."""
