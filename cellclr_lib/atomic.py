"""Write a file or a folder whole or not at all; everything else in the library writes through here.

What is written gets a name of its own beside its place and takes its final name when it is complete and on the
disk. A kill leaves the old contents or the new, never half. Two writers do not disturb each other: the last to end
counts.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"  # in the name of everything that is not complete yet


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Open a temporary path; what is written there becomes the file `path` when the block ends without an error.

    Parameters
    ----------
    path : path-like
        Its folder must exist. An old file is replaced.

    Yields
    ------
    pathlib.Path
        In the folder of `path`, with the same suffix.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with new_file(folder / "scores.csv") as part:
    ...     _ = part.write_text("nsc,nscb")
    >>> [file.name for file in folder.iterdir()]
    ['scores.csv']
    """
    path = Path(path)
    part = _part_of(path)
    try:
        yield part
        _to_disk(part)
        os.replace(part, path)
        _to_disk(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Open a temporary empty folder; it becomes the folder `path` when the block ends without an error.

    Parameters
    ----------
    path : path-like
        Must not exist, or be an empty folder.

    Yields
    ------
    pathlib.Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with new_folder(Path(folder) / "store") as part:
    ...         _ = (part / "images.npy").write_bytes(b"")
    ...     [file.name for file in Path(folder).rglob("*")]
    ['store', 'images.npy']
    """
    path = Path(path)
    part = _part_of(path)
    part.mkdir()
    try:
        yield part
        for file in part.rglob("*"):
            _to_disk(file)
        os.replace(part, path)
        _to_disk(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to the file `path`, whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "scores.csv", "nsc")
    ...     (Path(folder) / "scores.csv").read_text()
    'nsc'
    """
    with new_file(path) as part:
        part.write_text(text, encoding="utf-8")


def remove_parts(folder: str | Path) -> None:
    """Delete what killed writers left in `folder` and below; no other writer may be active there."""
    for part in sorted(Path(folder).rglob(f".*{PART}*")):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{PART}{path.suffix}")


def _to_disk(path: Path) -> None:
    """Wait until the contents of a file or folder are on the disk: a later loss of power leaves them there."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
