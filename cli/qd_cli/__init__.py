"""The qd command."""
