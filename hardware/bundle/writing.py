"""Folders that appear whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "bundle.json"
"""The file that makes a folder a bundle."""


@contextmanager
def replacing(folder: Path, manifest: str = MANIFEST) -> Iterator[Path]:
    """A new folder to write to, which takes the place of `folder` when the block ends without an error.

    It lies beside `folder` as `.NAME.partial`; what an interrupted run left there is removed.
    Raises FileExistsError where `folder` is neither empty nor a bundle (which has the file `manifest`): it then stays.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # keeps symbolic links, unlike `resolve`
    _check_replaceable(folder, manifest)
    partial, old = folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.old")
    with _naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        partial.mkdir()
        try:
            yield partial
            _remove(old)
            if folder.exists():
                folder.rename(old)
            partial.rename(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _remove(old)


def write_json(path: Path, content: Any) -> None:
    """Indented, UTF-8; NaN is refused with ValueError."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _check_replaceable(folder: Path, manifest: str) -> None:
    if folder.is_dir():
        if (folder / manifest).exists() or not any(folder.iterdir()):
            return
        raise FileExistsError(f"{folder} holds something else than a bundle: give a new folder, or empty this one")
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} exists and is not a folder: give a new one")


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Adds the folder to errors of the operating system that name no file (such as a full disk)."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, f"{error.strerror} (while writing the bundle)", str(folder)) from error
