"""Words of one language, or of two, with the ids that translation models expect."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from supernet.tasks.text.batching import Ids
from supernet.tasks.text.tokenization import TokenizerError, digest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first words of every vocabulary, in this order, as fairseq has them."""

PAD, EOS, UNK = 1, 2, 3

CONTINUED = "@@"
"""What subword-nmt writes behind parts of a word but the last."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Texts to ids and back.

    Args:
        tokenizer: of the `tokenizers` package.
        words: of fairseq's dictionary, by id, where texts hold words with spaces in between, maybe in parts (`foo@@
            bar`); what the tokenizer finds beside them is unknown. None: texts as people write them.

    Raises TokenizerError where `<s>`, `<pad>`, `</s>` and `<unk>` are not 0, 1, 2 and 3.
    """

    tokenizer: "Tokenizer"
    words: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        found = {token: self.tokenizer.token_to_id(token) for token in SPECIAL}
        if list(found.values()) != list(range(len(SPECIAL))):
            ids = ", ".join(f"{token} is {i}" for token, i in found.items())
            raise TokenizerError(
                f"the tokenizer has other ids than translation models expect: {ids} instead of 0, 1, 2 and 3; train "
                "one for translation, or convert it"
            )

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.tokenizer.get_vocab_size() if self.words is None else len(self.words)

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides how texts become ids."""
        return hashlib.sha256(f"{digest(self.tokenizer)}{self.words}".encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, end of sentence included."""
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        whole = [joined(text) for text in texts] if self._cuts else list(texts)
        found = self.tokenizer.encode_batch(whole, add_special_tokens=False)
        tokens = [np.array([*encoding.ids, EOS], dtype=np.int32) for encoding in found]
        return [np.where(ids < self.size, ids, UNK).astype(np.int32) for ids in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the end of sentence, parts of words joined."""
        kept = [int(i) for i in ids if i not in (SPECIAL.index("<s>"), PAD, EOS)]
        if self.words is None:
            return str(self.tokenizer.decode(kept, skip_special_tokens=False))
        return joined(" ".join(self.words[i] if i < self.size else SPECIAL[UNK] for i in kept))

    def files(self, prefix: str = "") -> Mapping[str, bytes]:
        """`tokenizer.json`, and `words.json` where there are words."""
        found = {f"{prefix}tokenizer.json": self.tokenizer.to_str().encode()}
        if self.words is not None:
            found[f"{prefix}words.json"] = json.dumps(self.words, ensure_ascii=False).encode()
        return found

    @property
    def _cuts(self) -> bool:
        """Whether the tokenizer cuts the words of texts into parts, rather than finding them cut."""
        return self.words is not None and type(self.tokenizer.model).__name__ == "BPE"


def joined(text: str) -> str:
    """A text without the marks between parts of words."""
    return f"{text} ".replace(f"{CONTINUED} ", "").removesuffix(" ")
