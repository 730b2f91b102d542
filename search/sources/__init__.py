"""Measurements made elsewhere that a search can start from: stores, results, and tables of other programs."""

from search.sources.base import Known, Source
from search.sources.reading import described_sources, read
from search.sources.starting import begin

__all__ = ["Known", "Source", "begin", "described_sources", "read"]
