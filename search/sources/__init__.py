"""Warm starts: measurements of earlier searches and other programs that a search can start from."""

from search.sources.base import KnownValue, Source
from search.sources.reading import described_sources, read
from search.sources.starting import begin

__all__ = ["KnownValue", "Source", "begin", "described_sources", "read"]
