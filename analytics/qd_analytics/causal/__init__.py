"""The causal library: rules over contexts. It knows no market, no topic and no service."""
