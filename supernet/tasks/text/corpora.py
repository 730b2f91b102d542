"""Translation tasks out of files: parallel texts, Multi30k, what fairseq binarised."""

from pathlib import Path
from typing import Any

from supernet.tasks.splits import stratified_split
from supernet.tasks.text.fairseq import BinarisedText, find_split, read_dictionary
from supernet.tasks.text.fairseq import vocabulary as fairseq_vocabulary
from supernet.tasks.text.parallel import ParallelText, read_parallel
from supernet.tasks.text.tokenization import load_tokenizer, train_for_translation
from supernet.tasks.text.translation import Translation
from supernet.tasks.text.vocabulary import Vocabulary

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}

Files = str | tuple[str, str] | None
"""What the files of a split are called without their language, or both names; None: as usual."""


def translation(
    root: str | Path,
    *,
    source: str,
    target: str,
    train: Files = None,
    validation: Files | float = None,
    test: Files = None,
    tokenizer: str | Path | None = None,
    kind: str = "bpe",
    vocab_size: int = 8000,
    name: str | None = None,
    **settings: Any,
) -> Translation:
    """Parallel text files: line i of `train.en` is translated in line i of `train.de`; all may be packed by gzip.

    Args:
        root: the folder.
        source: language of the sentences, and ending of their files.
        target: that of the translations.
        train: name of the training files without ending, or the two names (source, target) with it.
        validation: likewise; None: the first of validation, valid, val, dev, and without any 2 % of the training pairs
            are set aside, always the same. Or a fraction, to set aside.
        test: likewise; None: `test`, where it is there.
        tokenizer: a `tokenizer.json` for both languages; None: trained on the training pairs, always the same for the
            same texts.
        kind: "bpe" or "unigram", of a tokenizer that is trained.
        vocab_size: most tokens of one that is trained.
        name: of the task; None: that of the folder.
        settings: arguments of Translation, such as `search` and `max_tokens`.

    Raises FileNotFoundError for missing files, ValueError for files that do not belong together, TokenizerError.
    """
    root = Path(root)
    fraction = validation if isinstance(validation, (int, float)) else 0.02
    given = {"train": train, "validation": validation, "test": test}
    found = {split: _files(root, split, files, source, target) for split, files in given.items()}
    splits = {split: read_parallel(*files) for split, files in found.items() if files is not None}
    if "validation" not in splits:
        splits = splits | _set_aside(splits["train"], fraction)
    pairs = splits["train"]
    return Translation(
        name=name or root.name,
        splits=splits,
        source_language=source,
        target_language=target,
        vocabulary=Vocabulary(
            load_tokenizer(tokenizer)
            if tokenizer
            else train_for_translation((*pairs.sources, *pairs.targets), vocab_size, kind)
        ),
        **settings,
    )


def multi30k(root: str | Path, *, source: str = "en", target: str = "de", **settings: Any) -> Translation:
    """Multi30k (Elliott et al., 2016), task 1: 29,000 captions of images with their translations; test of 2016.

    Args:
        root: the folder with `train.en`, `val.en`, `test_2016_flickr.en` and so on (may be packed by gzip).
        source: language of the captions.
        target: that of the translations.
        settings: arguments of `translation`.
    """
    return translation(
        root, source=source, target=target, **{"test": "test_2016_flickr", "name": "multi30k"} | settings
    )


def fairseq_translation(
    root: str | Path,
    *,
    source: str,
    target: str,
    codes: str | Path | None = None,
    name: str | None = None,
    **settings: Any,
) -> Translation:
    """What `fairseq-preprocess` left: `dict.en.txt`, `train.en-de.en.bin`, `train.en-de.en.idx` and so on.

    Args:
        root: the folder.
        source: language of the sentences, as in the files' names.
        target: that of the translations.
        codes: subword-nmt's merges, to translate sentences of whole words; None: sentences come cut (`foo@@ bar`).
        name: of the task; None: that of the folder.
        settings: arguments of Translation.

    Raises FileNotFoundError for missing files, ValueError for damaged ones.
    """
    root = Path(root)
    words = [read_dictionary(root / f"dict.{language}.txt") for language in (source, target)]
    found = {split: find_split(root, split, source, target) for split in ("train", "valid", "test")}
    if found["valid"] is None:
        raise FileNotFoundError(f"{root} holds no valid.{source}-{target}.{source}.idx: validation needs it")
    names = {"train": "train", "valid": "validation", "test": "test"}
    splits = {names[split]: BinarisedText(*parts, *words) for split, parts in found.items() if parts is not None}
    vocabularies = [fairseq_vocabulary(side, codes) for side in words]
    return Translation(
        name=name or root.name,
        splits=splits,
        source_language=source,
        target_language=target,
        vocabulary=vocabularies[0],
        target_vocabulary=vocabularies[1] if words[1] != words[0] else None,
        **settings,
    )


def _files(root: Path, split: str, given: Files | float, source: str, target: str) -> tuple[Path, Path] | None:
    """The two files of a split; None for a fraction, or where none was named and the usual ones are not there."""
    if isinstance(given, (int, float)):
        return None
    if given is None:
        pairs = [(f"{stem}.{source}", f"{stem}.{target}") for stem in _NAMES[split]]
    else:
        pairs = [(f"{given}.{source}", f"{given}.{target}") if isinstance(given, str) else (given[0], given[1])]
    for names in pairs:
        paths = [next((p for p in (root / name, root / f"{name}.gz") if p.is_file()), None) for name in names]
        if paths[0] is not None and paths[1] is not None:
            return paths[0], paths[1]
        if missing := [name for name, path in zip(names, paths, strict=True) if path is None]:
            if given is not None or len(missing) == 1:
                raise FileNotFoundError(f"no file {root / missing[0]} (nor {missing[0]}.gz) for the {split} split")
    if split == "train":
        raise FileNotFoundError(f"{root} holds no parallel texts: no train.{source} and train.{target} (or with .gz)")
    return None


def _set_aside(pairs: ParallelText, fraction: float) -> dict[str, ParallelText]:
    n = round(fraction * len(pairs))
    if not 0 < n < len(pairs):
        raise ValueError(f"{len(pairs)} training pairs are too few to set aside {fraction:g} of them for validation")
    keys = [repr(pair) for pair in zip(pairs.sources, pairs.targets, strict=True)]
    rest, (chosen,) = stratified_split(keys, [0] * len(keys), (n,))
    return {"train": pairs.subset(rest), "validation": pairs.subset(chosen)}
