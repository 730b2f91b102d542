"""Landscapes, competitors, stored runs, tables and figures of `compare.py` and its neighbours."""
