"""A screen → single cells: read or simulate a screen, find nuclei, cut crops, keep them in a `CellStore`."""

from cellclr_lib.data.store import CellStore

__all__ = ["CellStore"]
