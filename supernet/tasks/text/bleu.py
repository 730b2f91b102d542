"""BLEU (Papineni et al., ACL 2002) of a whole corpus, in two ways that give different numbers."""

import re
from collections.abc import Sequence
from typing import Any

_COMPOUND = re.compile(r"(\S)-(\S)")


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = "13a") -> float:
    """BLEU by sacreBLEU (arXiv:1804.08771), of texts as people write them, 0-100.

    Args:
        hypotheses: translations.
        references: one for each.
        tokenizer: of sacreBLEU: "13a", or another for languages without spaces.
    """
    return float(_bleu(tokenizer).corpus_score(list(hypotheses), [list(references)]).score)


def signature(tokenizer: str = "13a") -> str:
    """How `corpus_bleu` counts, as sacreBLEU writes it."""
    metric = _bleu(tokenizer)
    metric.corpus_score(["one"], [["one"]])  # so that it knows of one reference
    return str(metric.get_signature())


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of Moses' tokens with compounds split at hyphens (`##AT##-##AT##`), as HAT's paper reports, 0-100."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    split = [[_COMPOUND.sub(r"\1 ##AT##-##AT## \2", text) for text in texts] for texts in (hypotheses, references)]
    return float(metric.corpus_score(split[0], [split[1]]).score)


def moses_tokenized(texts: Sequence[str], language: str) -> list[str]:
    """Texts with spaces around tokens, as Moses' `tokenizer.perl -no-escape` writes them."""
    from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(lang=language)
    return [tokenizer.tokenize(text, return_str=True, escape=False) for text in texts]


def moses_detokenized(texts: Sequence[str], language: str) -> list[str]:
    """Texts as people write them, of texts with spaces around Moses' tokens."""
    from sacremoses import MosesDetokenizer

    detokenizer = MosesDetokenizer(lang=language)
    return [detokenizer.detokenize(text.split()) for text in texts]


def _bleu(tokenizer: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenizer)
