"""A soak: random kills of broker, producers and consumers, and the proof that nothing is lost."""
