"""The symbol master: a gRPC service that tells which markets there are, read from the store."""
