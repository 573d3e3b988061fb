"""Causal rules over a rolling context, the breakout model, and the alert service."""
