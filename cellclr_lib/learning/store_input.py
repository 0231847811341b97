"""Describe what kind of crops an encoder was trained on, so that it is not given another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellclr_lib.data import CellStore


def input_of(store: CellStore) -> dict[str, Any]:
    """Describe what an encoder of a store's cells takes: names of the channels, type and size of the crops."""
    return {
        "channels": list(store.channels),
        "dtype": str(store.images.dtype),
        "crop_px": int(store.images.shape[-1]),
    }
