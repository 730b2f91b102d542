"""Writes files whole or not at all."""

from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file beside its place and moves it there: on failure (OSError) the old file, if any, stays as it was."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
