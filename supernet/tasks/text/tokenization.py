"""Tokenizers: read from a folder or a hub, or trained on the user's texts."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PADDING = ("[PAD]", "<pad>")


class TokenizerError(ValueError):
    """A tokenizer cannot be read, or does not fit its model."""


def load_tokenizer(source: str | Path) -> "Tokenizer":
    """The tokenizer of a `tokenizer.json`, of a folder in Hugging Face's layout, or of a name on its hub.

    Raises TokenizerError for anything else, and for one that is not implemented by the `tokenizers` package.
    """
    from tokenizers import Tokenizer

    path = Path(source)
    if path.is_file() or path.suffix == ".json":
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises nothing more specific
            raise TokenizerError(f"cannot read a tokenizer from {path}: {error}") from error
    if (path / "tokenizer.json").is_file():
        return load_tokenizer(path / "tokenizer.json")
    return _from_transformers(str(source))


def _from_transformers(source: str) -> "Tokenizer":
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise TokenizerError(
            f"no tokenizer at {source!r}: give a tokenizer.json, a folder with one, or a name on the Hugging Face hub "
            f"({str(error).splitlines()[0]})"
        ) from error
    tokenizer: Tokenizer | None = getattr(found, "backend_tokenizer", None)
    if tokenizer is None:
        raise TokenizerError(f"the tokenizer of {source!r} is not one of the tokenizers package: convert it first")
    return tokenizer


def train_for_classification(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """A lower-case tokenizer whose texts become `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`; padding is token 0."""
    from tokenizers import processors

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer = _trained(texts, vocab_size, special, unknown=1, lowercase=True)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def train_for_translation(texts: Iterable[str], vocab_size: int, kind: str = "bpe") -> "Tokenizer":
    """A tokenizer that loses nothing but unknown characters; texts end with `</s>`, and ids are those of fairseq.

    Args:
        texts: of both languages, for a joint vocabulary.
        vocab_size: most tokens, with `<s>` 0, `<pad>` 1, `</s>` 2 and `<unk>` 3.
        kind: "bpe" (arXiv:1508.07909) or "unigram" (arXiv:1804.10959).
    """
    from tokenizers import processors

    tokenizer = _trained(texts, vocab_size, ("<s>", "<pad>", "</s>", "<unk>"), unknown=3, kind=kind)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def _trained(
    texts: Iterable[str],
    vocab_size: int,
    special: tuple[str, ...],
    *,
    unknown: int,
    kind: str = "bpe",
    lowercase: bool = False,
) -> "Tokenizer":
    """The same texts give the same tokenizer. Spaces are kept, as part of tokens; punctuation stands alone."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if vocab_size <= len(special):
        raise ValueError(f"vocab_size must be above {len(special)}, the number of special tokens, got {vocab_size}")
    settings: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": list(special), "show_progress": False}
    model: Any
    trainer: Any
    if kind == "bpe":
        model, trainer = models.BPE(unk_token=special[unknown]), trainers.BpeTrainer(**settings)
    elif kind == "unigram":
        model, trainer = models.Unigram(), trainers.UnigramTrainer(unk_token=special[unknown], **settings)
    else:
        raise ValueError(f"the kind of a tokenizer must be bpe or unigram, got {kind!r}")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True) if lowercase else normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(texts, trainer)
    return _rounded(tokenizer, len(special)) if kind == "unigram" else tokenizer


def _rounded(tokenizer: "Tokenizer", n_special: int) -> "Tokenizer":
    """Without the last digits of a unigram model's scores, which depend on the order in which threads finish."""
    described = json.loads(tokenizer.to_str())
    pieces = [(piece, round(score, 6)) for piece, score in described["model"]["vocab"]]
    found = sorted(pieces[n_special:], key=lambda pair: (-pair[1], pair[0]))
    described["model"]["vocab"] = [*pieces[:n_special], *found]
    rounded: Tokenizer = type(tokenizer).from_str(json.dumps(described))
    return rounded


def padding_id(tokenizer: "Tokenizer") -> int:
    """The id of the padding token. Raises TokenizerError where there is none."""
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(token) for token in _PADDING)
    if (known := next((i for i in found if i is not None), None)) is None:
        raise TokenizerError(f"the tokenizer has no padding token ({' or '.join(_PADDING)})")
    return int(known)


def digest(tokenizer: "Tokenizer") -> str:
    """Digest of all that decides how texts become ids."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]
