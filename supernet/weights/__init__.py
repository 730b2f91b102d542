"""Embedded weights: package data, loaded by `supernet.create(name, checkpoint="embedded")`."""
