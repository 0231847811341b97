"""Keep single-cell crops on disk, memory-mapped, beside a row-aligned table.

A store is a folder::

    images.npy        (N, C, H, W) uint8 or uint16, opened as a memory map
    cells.parquet     one row per cell, row i describes images[i]
    rejected.parquet  objects that were found but not kept, with the reason
    store.json        crop size, channels, scaling, source, skipped fields, library version

Many processes can open one store and share one copy of the pixels. `store.json` is written last and marks
the store as complete. Explained in chapter 2, *from fields to cells*.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from cellclr_lib import atomic

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

CHANNELS = ("dna", "tubulin", "actin")
DTYPES = (np.uint8, np.uint16)


class CellStore:
    """Hold single-cell crops and their table; open with `CellStore.open`, make with `CellStore.from_arrays`.

    A store is a map-style dataset of torch: ``len(store)`` cells, ``store[i]`` the crop of cell i.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    images : numpy.memmap
        ``(N, C, H, W)`` uint8 or uint16, read-only.
    table : pandas.DataFrame
        N rows: ``plate well site batch replicate compound concentration_um moa role x_px y_px`` and whatever
        else the maker added.
    rejected : pandas.DataFrame
        Objects found but not kept: ``plate well site x_px y_px reason``; empty if none were recorded.
    info : dict
        Contents of `store.json`: ``crop_px``, ``channels``, ``cells``, ``scaling``, ``skipped`` …

    Notes
    -----
    Explained in chapter 2, *from fields to cells*.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> table = pd.DataFrame({"plate": "p1", "well": "B02", "compound": ["DMSO", "DMSO", "taxol"]})
    >>> store = CellStore.from_arrays(np.zeros((3, 3, 32, 32), np.uint8), table, Path(folder.name) / "store")
    >>> len(store), store[0].shape, store.channels
    (3, (3, 32, 32), ('dna', 'tubulin', 'actin'))
    >>> from torch.utils.data import DataLoader
    >>> [batch.shape[0] for batch in DataLoader(store, batch_size=2)]
    [2, 1]
    >>> folder.cleanup()
    """

    def __init__(
        self, path: Path, images: np.ndarray, table: pd.DataFrame, rejected: pd.DataFrame, info: dict[str, Any]
    ) -> None:
        self.path, self.images, self.table, self.rejected, self.info = path, images, table, rejected, info

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store without reading its pixels.

        Parameters
        ----------
        path : path-like
            Its folder.

        Returns
        -------
        CellStore

        Raises
        ------
        FileNotFoundError
            If there is no finished store at `path`.
        ValueError
            If its pixels and its table do not belong together.
        """
        path = Path(path)
        if not (path / "store.json").exists():
            raise FileNotFoundError(
                f"no finished cell store at {path} (no store.json); make it: `python -m cellclr_lib crop`"
            )
        info = json.loads((path / "store.json").read_text())
        try:
            images = np.load(path / "images.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ValueError(f"{path / 'images.npy'}: unreadable ({error}); make the store again") from error
        table = pd.read_parquet(path / "cells.parquet")
        if images.ndim != 4 or len(images) != len(table) or images.dtype not in DTYPES:
            raise ValueError(
                f"{path}: images {images.shape} {images.dtype} and {len(table)} table rows do not belong "
                "together; make the store again"
            )
        recorded = (info.get("cells"), len(info.get("channels", ())), info.get("crop_px"))
        if recorded != (len(images), images.shape[1], images.shape[-1]):
            raise ValueError(
                f"{path}: store.json names {recorded[0]} cells, {recorded[1]} channels and {recorded[2]} px, "
                f"images.npy holds {images.shape}; make the store again"
            )
        rejected = pd.DataFrame(columns=["plate", "well", "site", "x_px", "y_px", "reason"])
        if (path / "rejected.parquet").exists():
            rejected = pd.read_parquet(path / "rejected.parquet")
        return cls(path, images, table, rejected, info)

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray,
        table: pd.DataFrame,
        path: str | Path,
        *,
        channels: Sequence[str] | None = None,
        **info: Any,
    ) -> Self:
        """Write crops and their table as a store.

        Parameters
        ----------
        images : ndarray, shape (N, C, H, W), uint8 or uint16
        table : pandas.DataFrame
            N rows, row i describes ``images[i]``.
        path : path-like
            Folder to write; must not hold a finished store yet.
        channels : sequence of str, optional
            Channel names; DNA, tubulin, actin for three channels, else ``channel0 …``.
        **info
            Further entries of `store.json`, such as ``source="…"``.

        Returns
        -------
        CellStore

        Raises
        ------
        FileExistsError
            If `path` already holds a finished store.
        ValueError
            If shapes, dtype, channel names and table do not fit together.
        """
        images = np.asarray(images)
        if images.ndim != 4:
            raise ValueError(f"images must be (N, C, H, W), not {images.shape}")
        return cls.from_batches([(images, table)], images.shape, images.dtype, path, channels=channels, **info)

    @classmethod
    def from_batches(
        cls,
        batches: Iterable[tuple[np.ndarray, pd.DataFrame]],
        shape: Sequence[int],
        dtype: DTypeLike,
        path: str | Path,
        *,
        channels: Sequence[str] | None = None,
        rejected: pd.DataFrame | None = None,
        **info: Any,
    ) -> Self:
        """Write a store batch by batch, so that it may be larger than memory.

        Parameters
        ----------
        batches : iterable of (ndarray (n, C, H, W), DataFrame of n rows)
            Together exactly N cells.
        shape : tuple of int
            ``(N, C, H, W)``.
        dtype : dtype
            ``uint8`` or ``uint16``.
        rejected : pandas.DataFrame, optional
            Objects found but not kept, with the reason.
        path, channels, **info
            As for `from_arrays`, which also lists what is raised.

        Returns
        -------
        CellStore
        """
        path, dtype = Path(path), np.dtype(dtype)
        if channels is None:
            channels = CHANNELS if shape[1] == len(CHANNELS) else [f"channel{i}" for i in range(shape[1])]
        if (path / "store.json").exists():
            raise FileExistsError(f"{path} already holds a cell store; choose another or remove it")
        if dtype not in DTYPES:
            raise ValueError(f"crops must be uint8 or uint16, not {dtype}; scale them first")
        if len(channels) != shape[1]:
            raise ValueError(f"{len(channels)} channel names {tuple(channels)} for {shape[1]} channels")
        path.mkdir(parents=True, exist_ok=True)
        _check_space(path, int(np.prod(shape)) * dtype.itemsize)
        tables, start = [], 0
        with atomic.new_file(path / "images.npy") as part:
            out = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=tuple(shape))
            for images, table in batches:
                if len(images) != len(table) or images.shape[1:] != out.shape[1:] or images.dtype != dtype:
                    raise ValueError(
                        f"{path}: crops {images.shape} {images.dtype} and {len(table)} table rows do not fit "
                        f"a store {tuple(shape)} {dtype}"
                    )
                out[start : start + len(images)] = images
                tables.append(table)
                start += len(images)
            if start != shape[0]:
                raise ValueError(f"{path}: {start} crops given where {shape[0]} were announced")
            out.flush()
            del out
        with atomic.new_file(path / "cells.parquet") as part:
            pd.concat(tables, ignore_index=True).to_parquet(part)
        if rejected is not None:
            with atomic.new_file(path / "rejected.parquet") as part:
                rejected.to_parquet(part)
        info = {
            "crop_px": int(shape[-1]),
            "channels": list(channels),
            "cells": int(shape[0]),
            **info,
            "library_version": version("cellclr"),
        }
        # Last and in one step: a store without store.json is not finished.
        atomic.write_text(path / "store.json", json.dumps(info, indent=1))
        return cls.open(path)

    @property
    def channels(self) -> tuple[str, ...]:
        """Name the channels, in the order of axis 1 of `images`."""
        return tuple(self.info["channels"])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Read the crop of one cell, (C, H, W), or of several, (n, C, H, W), into memory."""
        return np.array(self.images[index])

    def __repr__(self) -> str:
        count, channels, height, width = self.images.shape
        what = f"{count} cells, {channels} × {height} × {width} px {self.images.dtype}"
        return f"CellStore({str(self.path)!r}: {what})"


def _check_space(path: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold: a memory map that grows past its end kills the process."""
    if (free := shutil.disk_usage(path).free) < needed:
        raise OSError(
            f"{path} needs {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free; make room, "
            "or take another folder"
        )
