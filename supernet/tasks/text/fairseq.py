"""What fairseq leaves after preprocessing, read without it: dictionaries and binarised parallel texts."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from supernet.tasks.text.tables import open_text
from supernet.tasks.text.vocabulary import CONTINUED, SPECIAL, Vocabulary

if TYPE_CHECKING:
    from tokenizers.models import BPE

_MMAP, _CACHED = b"MMIDIDX\x00\x00", b"TNTIDX\x00\x00"
_TYPES = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 8: "u2", 9: "u4", 10: "u8"}  # codes in index files


def read_dictionary(path: str | Path) -> dict[str, int]:
    """Words and their ids out of a `dict.xx.txt`, which has a word and its count on each line.

    Raises ValueError for a line of another form, and for a word that occurs twice.
    """
    words = {word: i for i, word in enumerate(SPECIAL)}
    with open_text(Path(path)) as file:
        for number, line in enumerate(file, start=1):
            entry = line.rstrip("\r\n").removesuffix(" #fairseq:overwrite")
            word, _, n_times = entry.rpartition(" ")
            if not word or not n_times.isdigit():
                raise ValueError(f"{path}, line {number}: {entry!r} is not a word and its count")
            if word in words:
                raise ValueError(f"{path}, line {number}: the word {word!r} occurs twice")
            words[word] = len(words)
    return words


def vocabulary(words: Mapping[str, int], codes: str | Path | None = None) -> Vocabulary:
    """A dictionary's words, for texts with spaces between tokens.

    Args:
        words: of the dictionary.
        codes: subword-nmt's file of merges, to cut whole words as it does; None: texts come cut (`foo@@ bar`).

    Raises ValueError for a file of merges of another form.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    if codes is None:
        tokenizer = Tokenizer(models.WordLevel(dict(words), unk_token="<unk>"))
    else:
        tokenizer = Tokenizer(_merging(words, Path(codes)))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Vocabulary(tokenizer, tuple(words))


def _merging(words: Mapping[str, int], codes: Path) -> "BPE":
    from tokenizers.models import BPE

    with open_text(codes) as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#version")]
    merges = [(left, right) for left, right, *_ in (line for line in lines if len(line) > 1)]
    if not merges or len(merges) < len(lines):
        raise ValueError(f"{codes} is not a file of merges: two parts with a space in between on each line")
    parts = {word if i < len(SPECIAL) else _part(word): i for word, i in words.items()}
    letters = sorted({letter for left, right in merges for letter in (left + right).removesuffix("</w>")})
    merged = (piece for left, right in merges for piece in (left, right, left + right))
    for piece in (*merged, *letters, *(f"{letter}</w>" for letter in letters)):
        parts.setdefault(piece, len(parts))  # of no text after all merges, or unknown: ids beyond the dictionary
    return BPE(vocab=parts, merges=merges, unk_token="<unk>", end_of_word_suffix="</w>")


def _part(word: str) -> str:
    """A word of the dictionary as the merges write it."""
    return word.removesuffix(CONTINUED) if word.endswith(CONTINUED) else f"{word}</w>"


@dataclass(frozen=True)
class BinarisedText:
    """A split of binarised parallel texts, read when its sentences are first asked for.

    Sentences are the words of the dictionaries with spaces in between. Unknown words of translations are `<<unk>>`,
    which no model says.

    Args:
        source, target: paths of the index files without `.idx`; several parts make one split.
        source_words, target_words: of the dictionaries.
    """

    source: tuple[Path, ...]
    target: tuple[Path, ...]
    source_words: Mapping[str, int]
    target_words: Mapping[str, int]

    def __post_init__(self) -> None:
        lengths = [sum(len(_sizes(path)) for path in side) for side in (self.source, self.target)]
        if lengths[0] != lengths[1]:
            raise ValueError(f"{self.source[0]} has {lengths[0]} sentences, {self.target[0]} has {lengths[1]}")

    def __len__(self) -> int:
        return sum(len(_sizes(path)) for path in self.source)

    @cached_property
    def sources(self) -> list[str]:
        """The sentences."""
        return _texts(self.source, self.source_words, "<unk>")

    @cached_property
    def targets(self) -> list[str]:
        """Their translations."""
        return _texts(self.target, self.target_words, "<<unk>>")

    @cached_property
    def digest(self) -> str:
        """Digest of dictionaries and files."""
        collected = hashlib.sha256(repr((list(self.source_words), list(self.target_words))).encode())
        for path in (*self.source, *self.target):
            with _with_ending(path, ".bin").open("rb") as file:
                collected.update(hashlib.file_digest(file, "sha256").digest())
        return collected.hexdigest()


def find_split(folder: Path, split: str, source: str, target: str) -> tuple[tuple[Path, ...], tuple[Path, ...]] | None:
    """Paths of a split's parts in both languages (`valid.en-de.en`, `valid1.en-de.en`, ...); None: there are none."""
    names = (f"{split}{i or ''}.{source}-{target}" for i in count())
    stems = list(takewhile(lambda name: _with_ending(folder / f"{name}.{source}", ".idx").exists(), names))
    sides = tuple(tuple(folder / f"{stem}.{language}" for stem in stems) for language in (source, target))
    return (sides[0], sides[1]) if stems else None


def read_binarised(path: Path) -> list[NDArray[np.int64]]:
    """Ids of each sentence, end of sentence included, of `path.idx` and `path.bin` (the formats mmap, cached, lazy).

    Raises FileNotFoundError, and ValueError for files of other formats.
    """
    data = _with_ending(path, ".bin").read_bytes()
    kind, offset, sizes = _index(path)
    ends = np.cumsum(sizes)
    if len(data) != int(ends[-1] if len(ends) else 0) * kind.itemsize:
        raise ValueError(f"{path}.bin does not belong to {path}.idx, or is not complete")
    ids = np.frombuffer(data, kind).astype(np.int64) - offset
    return np.split(ids, ends[:-1])


def _index(path: Path) -> tuple[np.dtype, int, NDArray[np.int64]]:
    """Type of the ids, what was added to them, and the number of ids of each sentence."""
    data = _with_ending(path, ".idx").read_bytes()
    try:
        if data.startswith(_MMAP):
            _, code, n = struct.unpack_from("<QBQ", data, len(_MMAP))
            sizes = np.frombuffer(data, "<i4", n, len(_MMAP) + struct.calcsize("<QBQ"))
            return np.dtype(_TYPES[code]), 0, sizes.astype(np.int64)
        if data.startswith(_CACHED):
            _, code, _, n, n_sizes = struct.unpack_from("<QQQQQ", data, len(_CACHED))
            sizes = np.frombuffer(data, "<i8", n_sizes, len(_CACHED) + 40 + 16 * (n + 1))
            return np.dtype(_TYPES[code]), 1, sizes.astype(np.int64)  # ids count from 1 in files
    except (struct.error, KeyError, ValueError) as error:
        raise ValueError(f"{path}.idx is damaged ({error})") from error
    raise ValueError(f"{path}.idx is not an index of binarised texts")


def _sizes(path: Path) -> NDArray[np.int64]:
    return _index(path)[2]


def _texts(paths: Sequence[Path], words: Mapping[str, int], unknown: str) -> list[str]:
    names = list(words)
    names[SPECIAL.index("<unk>")] = unknown
    texts = []
    for path in paths:
        for number, ids in enumerate(read_binarised(path), start=1):
            if ids.size and int(ids.max()) >= len(names):
                raise ValueError(
                    f"{path}, sentence {number} holds word {int(ids.max())}: the dictionary has {len(names)}, "
                    "so it belongs to other data"
                )
            texts.append(" ".join(names[i] for i in ids[:-1]))
    return texts


def _with_ending(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
