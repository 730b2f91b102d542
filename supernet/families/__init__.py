"""Adapters: one module per family of super-networks."""
