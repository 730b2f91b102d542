"""What fairseq-preprocess leaves is read to the last word."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.tasks.text.fairseq import read_binarised, read_dictionary, vocabulary
from supernet.tasks.text.vocabulary import EOS, SPECIAL, UNK, joined

CODES = {"u1": 1, "i2": 3, "i4": 4, "i8": 5, "u2": 8}


def write_mmap(path: Path, sentences: list[list[int]], kind: str = "u2") -> None:
    """As `MMapIndexedDatasetBuilder` does."""
    sizes = np.array([len(ids) for ids in sentences], dtype="<i4")
    pointers = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype("<i8") * np.dtype(kind).itemsize
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQ", 1, CODES[kind], len(sentences))
    path.with_name(path.name + ".idx").write_bytes(header + sizes.tobytes() + pointers.tobytes())
    path.with_name(path.name + ".bin").write_bytes(np.concatenate(sentences).astype(kind).tobytes())


def write_cached(path: Path, sentences: list[list[int]], kind: str = "i4") -> None:
    """As `IndexedDatasetBuilder` does, which adds 1 to all ids."""
    sizes = np.array([len(ids) for ids in sentences], dtype="<i8")
    dims = np.arange(len(sentences) + 1, dtype="<i8")
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype("<i8")
    numbers = (1, CODES[kind], np.dtype(kind).itemsize, len(sentences), len(sizes))
    header = b"TNTIDX\x00\x00" + struct.pack("<QQQQQ", *numbers)
    path.with_name(path.name + ".idx").write_bytes(header + dims.tobytes() + offsets.tobytes() + sizes.tobytes())
    path.with_name(path.name + ".bin").write_bytes((np.concatenate(sentences) + 1).astype(kind).tobytes())


@pytest.mark.parametrize(("write", "kind"), [(write_mmap, "u2"), (write_mmap, "i4"), (write_cached, "i4"),
                                             (write_cached, "i8")])  # fmt: skip
def test_both_formats_of_binarised_data(tmp_path, write, kind):
    rng = np.random.default_rng(0)
    sentences = [[*rng.integers(0, 30_000, rng.integers(0, 20)).tolist(), EOS] for _ in range(50)]
    write(tmp_path / "train.en-de.en", sentences, kind)
    assert [ids.tolist() for ids in read_binarised(tmp_path / "train.en-de.en")] == sentences


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "a"
    write_mmap(path, [[5, 2], [6, 2]])
    (tmp_path / "a.bin").write_bytes(b"123")
    with pytest.raises(ValueError, match=r"a.bin does not belong to .*a.idx, or is not complete"):
        read_binarised(path)
    index = (tmp_path / "a.idx").read_bytes()
    (tmp_path / "a.idx").write_bytes(index[:20])
    with pytest.raises(ValueError, match="a.idx is damaged"):
        read_binarised(path)
    (tmp_path / "a.idx").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not an index"):
        read_binarised(path)
    with pytest.raises(FileNotFoundError):
        read_binarised(tmp_path / "b")


def test_dictionaries(tmp_path):
    path = tmp_path / "dict.en.txt"
    path.write_text("the 90\nfo@@ 20\no 3\n<pad> 0 #fairseq:overwrite\n".replace("<pad>", "x"))
    words = read_dictionary(path)
    assert list(words) == [*SPECIAL, "the", "fo@@", "o", "x"]
    assert words["fo@@"] == 5
    for text, message in (("the\n", "'the' is not a word and its count"), ("a 1\na 2\n", "'a' occurs twice")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_dictionary(path)


# --- cutting words as subword-nmt does ---

MERGES = [("l", "o"), ("lo", "w</w>"), ("e", "r</w>"), ("n", "e"), ("ne", "w"), ("i", "d"), ("w", "i"), ("wi", "d"),
          ("t", "h"), ("th", "e</w>"), ("lo", "w")]  # fmt: skip


def cut(word: str) -> list[str]:
    """Merges as the paper describes them: again and again the first pair of the list, everywhere."""
    parts = [*word[:-1], f"{word[-1]}</w>"]
    ranks = {pair: i for i, pair in enumerate(MERGES)}
    while len(parts) > 1:
        pairs = list(zip(parts, parts[1:], strict=False))
        best = min(pairs, key=lambda pair: ranks.get(pair, 99))
        if best not in ranks:
            break
        merged, i = [], 0
        while i < len(parts):
            if tuple(parts[i : i + 2]) == best:
                merged.append("".join(best))
                i += 2
            else:
                merged.append(parts[i])
                i += 1
        parts = merged
    return [part.removesuffix("</w>") if part.endswith("</w>") else f"{part}@@" for part in parts]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes")
    lines = [" ".join(pair) for pair in MERGES]
    (folder / "codes").write_text("\n".join(["#version: 0.2", *lines]) + "\n")
    letters = "lowernwidth"
    found = dict.fromkeys(part for word in ("low", "newer", "the", "wide", "lowest", *letters) for part in cut(word))
    found |= dict.fromkeys(f"{letter}@@" for letter in letters)
    (folder / "dict.en.txt").write_text("".join(f"{word} 1\n" for word in found))
    return folder


@given(st.lists(st.text("lowernidth", min_size=1, max_size=9), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_words_are_cut_as_the_merges_say(files, words):
    known = read_dictionary(files / "dict.en.txt")
    whole, parts = vocabulary(known, files / "codes"), vocabulary(known)
    text, symbols = " ".join(words), " ".join(part for word in words for part in cut(word))
    expected = [*(known.get(part, UNK) for part in symbols.split()), EOS]
    assert parts.encode([symbols])[0].tolist() == expected
    assert whole.encode([text])[0].tolist() == expected
    assert whole.encode([symbols])[0].tolist() == expected  # data that is cut already
    if UNK not in expected:
        assert whole.decode(expected) == parts.decode(expected) == text


def test_letters_that_nobody_saw_are_unknown(files):
    known = read_dictionary(files / "dict.en.txt")
    found = vocabulary(known, files / "codes")
    (ids,) = found.encode(["low x"])
    assert ids.tolist() == [known["low"], UNK, EOS]
    assert found.size == len(known)
    (files / "wrong").write_text("l o\nnothing\n")
    with pytest.raises(ValueError, match="wrong is not a file of merges"):
        vocabulary(known, files / "wrong")


def test_joining_parts():
    assert joined("a fo@@ o@@ bar b@@") == "a foobar b"
    assert joined("") == ""
    assert joined("a b") == "a b"
