"""Turning the logits of a translation model into sentences: beam search."""

from supernet.decoding.beam import BeamSearch, beam_search
from supernet.decoding.hypotheses import Hypothesis
from supernet.decoding.model import State, TranslationModel

__all__ = ["BeamSearch", "Hypothesis", "State", "TranslationModel", "beam_search"]
