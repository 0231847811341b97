"""A `CellStore`: single-cell crops on disk, memory-mapped, beside a row-aligned table.

A store is a folder::

    images.npy        (N, C, H, W) uint8 or uint16, opened as a memory map
    cells.parquet     one row per cell, row i describes images[i]
    rejected.parquet  objects that were found but not kept, with the reason
    store.json        crop size, channels, scaling, source, skipped fields, library version

Many processes can open one store and share one copy of the pixels. `store.json` is written last and marks
the store as complete. Explained in chapter 2, *from fields to cells*.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

CHANNELS = ("dna", "tubulin", "actin")
DTYPES = (np.uint8, np.uint16)


class StoreWriter:
    """Write a store of unknown length, batch by batch, into a folder of its own.

    Pixels go straight to disk, so the store may be larger than memory. Nothing that `CellStore.open` accepts
    exists before `close`.

    Parameters
    ----------
    path : path-like
        Folder to write; made if absent. Refused if it already holds a finished store.
    shape : tuple of int
        Shape ``(C, H, W)`` of one crop, in pixels.
    dtype : dtype
        ``uint8`` or ``uint16``.
    channels : tuple of str
        Channel names, in order.
    """

    def __init__(self, path, shape, dtype, channels=CHANNELS):
        self.path = Path(path)
        if (self.path / "store.json").exists():
            raise FileExistsError(f"{self.path} already holds a cell store; choose another folder or remove it")
        if np.dtype(dtype) not in DTYPES:
            raise ValueError(f"crops must be uint8 or uint16, not {np.dtype(dtype)}")
        if len(channels) != shape[0]:
            raise ValueError(f"{len(channels)} channel names {tuple(channels)} for crops with {shape[0]} channels")
        self.path.mkdir(parents=True, exist_ok=True)
        self.shape, self.dtype, self.channels = tuple(shape), np.dtype(dtype), tuple(channels)
        self._pixels = open(self.path / "images.partial", "wb")
        # A fixed-size header is written at the end, when the length is known.
        self._pixels.write(self._header(0))
        self._tables = []
        self._length = 0

    def _header(self, length):
        """The .npy header for `length` crops, padded to one constant size."""
        text = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, 'shape': {(length, *self.shape)}, }}"
        return b"\x93NUMPY\x01\x00" + (246).to_bytes(2, "little") + text.ljust(245).encode("latin1") + b"\n"

    def append(self, images, table):
        """Append crops ``(n, C, H, W)`` and their table of n rows."""
        images = np.asarray(images)
        if images.shape[1:] != self.shape or images.dtype != self.dtype:
            raise ValueError(
                f"crops of shape {images.shape[1:]} {images.dtype} for a store of {self.shape} {self.dtype}"
            )
        if len(images) != len(table):
            raise ValueError(f"{len(images)} crops but {len(table)} table rows")
        self._pixels.write(np.ascontiguousarray(images).tobytes())
        self._tables.append(table)
        self._length += len(table)

    def close(self, rejected=None, **info):
        """Finish the store: header, tables, and `store.json` with `info` last.

        Returns
        -------
        CellStore
        """
        self._pixels.seek(0)
        self._pixels.write(self._header(self._length))
        self._pixels.close()
        table = pd.concat(self._tables, ignore_index=True) if self._tables else pd.DataFrame()
        table.to_parquet(self.path / "cells.parquet")
        if rejected is not None:
            rejected.to_parquet(self.path / "rejected.parquet")
        (self.path / "images.partial").replace(self.path / "images.npy")
        info = {
            "crop_px": self.shape[-1],
            "channels": list(self.channels),
            "cells": self._length,
            **info,
            "library_version": version("cellclr"),
        }
        partial = self.path / "store.json.partial"
        partial.write_text(json.dumps(info, indent=1))
        partial.replace(self.path / "store.json")
        return CellStore.open(self.path)


class CellStore:
    """Single-cell crops and their table; open with `CellStore.open`, make with `CellStore.from_arrays`.

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
    """

    def __init__(self, path, images, table, rejected, info):
        self.path, self.images, self.table, self.rejected, self.info = path, images, table, rejected, info

    @classmethod
    def open(cls, path):
        """Open the store in folder `path` without reading its pixels.

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
                f"no finished cell store at {path} (no store.json); make one with `python -m cellclr_lib crop`"
            )
        info = json.loads((path / "store.json").read_text())
        try:
            images = np.load(path / "images.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ValueError(f"{path / 'images.npy'}: not readable ({error}); make the store again") from error
        table = pd.read_parquet(path / "cells.parquet")
        if images.ndim != 4 or len(images) != len(table) or images.dtype not in DTYPES:
            raise ValueError(
                f"{path}: images {images.shape} {images.dtype} and a table of {len(table)} rows do not belong "
                "together; make the store again"
            )
        rejected = pd.DataFrame(columns=["plate", "well", "site", "x_px", "y_px", "reason"])
        if (path / "rejected.parquet").exists():
            rejected = pd.read_parquet(path / "rejected.parquet")
        return cls(path, images, table, rejected, info)

    @classmethod
    def from_arrays(cls, images, table, path, channels=None, **info):
        """Write `images` and `table` as a store in folder `path`.

        Parameters
        ----------
        images : ndarray, shape (N, C, H, W), uint8 or uint16
        table : pandas.DataFrame
            N rows, row i describes ``images[i]``.
        path : path-like
            Folder to write; must not hold a store yet.
        channels : sequence of str, optional
            Channel names; DNA, tubulin, actin for three channels, else ``channel0 …``.
        **info
            Further entries of `store.json`, such as ``source="…"``.

        Returns
        -------
        CellStore
        """
        images = np.asarray(images)
        if images.ndim != 4:
            raise ValueError(f"images must be (N, C, H, W), not {images.shape}")
        if channels is None:
            count = images.shape[1]
            channels = CHANNELS if count == len(CHANNELS) else tuple(f"channel{i}" for i in range(count))
        writer = StoreWriter(path, images.shape[1:], images.dtype, channels)
        writer.append(images, table.reset_index(drop=True))
        return writer.close(**info)

    @property
    def channels(self):
        """Channel names, in the order of axis 1 of `images`."""
        return tuple(self.info["channels"])

    def __len__(self):
        return len(self.images)

    def __repr__(self):
        count, channels, height, width = self.images.shape
        return f"CellStore({str(self.path)!r}: {count} cells, {channels} × {height} × {width} px {self.images.dtype})"
