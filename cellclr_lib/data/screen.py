"""Read a screen in BBBC021's layout: two tables and a folder of TIFFs per plate.

A screen on disk is::

    <root>/BBBC021_v1_image.csv     one row per field: plate, well, compound, concentration, three file names
    <root>/BBBC021_v1_moa.csv       the mechanism of action of the annotated treatments
    <root>/<plate>/<file>.tif       one 16-bit grey image per field and channel

The images need not be there: a screen can be planned from its tables alone.
"""

import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import tifffile

from cellclr_lib.annotations import CHANNELS, read_annotations

IMAGE_TABLE = "BBBC021_v1_image.csv"
MOA_TABLE = "BBBC021_v1_moa.csv"


class Screen:
    """Open a screen in BBBC021's layout.

    Parameters
    ----------
    root : path-like
        Folder of the two tables and the plates.

    Attributes
    ----------
    root : pathlib.Path
    channels : tuple of str
        ``("dna", "tubulin", "actin")``, the order of axis 0 of every field.
    fields : pandas.DataFrame
        One row per field of view, in the order of the image table: ``plate well site batch replicate compound
        concentration_um moa role file_dna … path_actin``; see `cellclr_lib.annotations.read_annotations`.

    Raises
    ------
    FileNotFoundError
        If one of the two tables is missing.
    ValueError
        If a table cannot be understood.

    Notes
    -----
    Explained in chapter 1, *the screen*. The layout is that of BBBC021v1 (Caie et al. 2010; Ljosa et al. 2012).
    """

    channels = tuple(CHANNELS)

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.fields = read_annotations(self.root / IMAGE_TABLE, self.root / MOA_TABLE)

    def subset(self, mask: Any) -> Self:
        """Return the same screen with only the fields where `mask` (boolean, one per field) is true.

        Parameters
        ----------
        mask : sequence of bool
            One per row of `fields`, for one ``screen.fields["plate"] == "Week2_24381"``.

        Returns
        -------
        Screen
        """
        part = copy.copy(self)
        part.fields = self.fields[np.asarray(mask)].reset_index(drop=True)
        return part

    @property
    def wells(self) -> pd.DataFrame:
        """Tabulate the wells: ``plate well batch replicate compound concentration_um moa role``."""
        columns = ["plate", "well", "batch", "replicate", "compound", "concentration_um", "moa", "role"]
        return self.fields.drop_duplicates(["plate", "well"])[columns].reset_index(drop=True)

    @property
    def treatments(self) -> pd.DataFrame:
        """Tabulate the scored treatments, one row each: ``compound concentration_um moa``; no controls."""
        treated = self.fields[self.fields["role"] == "treatment"]
        return treated[["compound", "concentration_um", "moa"]].drop_duplicates().reset_index(drop=True)

    def image_path(self, field: pd.Series, channel: str) -> Path:
        """Return the path of one image; it need not exist.

        The plate's folder comes first, as the archives unpack; the folder named in the image table
        (``Week4/Week4_27481``) is looked into next.

        Parameters
        ----------
        field : pandas.Series
            A row of `fields`.
        channel : str
            One of `channels`.

        Returns
        -------
        pathlib.Path
        """
        unpacked, named = self._places(field, channel)
        return named if named.exists() and not unpacked.exists() else unpacked

    def _places(self, field: pd.Series, channel: str) -> tuple[Path, Path]:
        """List the two places of an image: as the archives unpack, and as the table says (on any system)."""
        folder = str(field[f"path_{channel}"]).replace("\\", "/")
        file = field[f"file_{channel}"]
        return self.root / field["plate"] / file, self.root / folder / file

    def load_field(self, field: pd.Series) -> np.ndarray:
        """Read all channels of one field of view.

        Parameters
        ----------
        field : pandas.Series
            A row of `fields`.

        Returns
        -------
        ndarray, shape (C, H, W), uint16
            Raw camera values; BBBC021 holds 12-bit values times 16.

        Raises
        ------
        FileNotFoundError
            If a channel's file is missing; the message names it.
        ValueError
            If a file is truncated or no image, or the channels do not fit together; the message names the file.
        """
        images: list[np.ndarray] = []
        for channel in self.channels:
            path = self.image_path(field, channel)
            if not path.exists():
                unpacked, named = self._places(field, channel)
                raise FileNotFoundError(
                    f"{unpacked} is missing (the {channel} image of its field), and so is {named}, where "
                    "the image table says it lies; fetch the plate again"
                )
            image = self._read(path)
            if images and image.shape != images[0].shape:
                raise ValueError(
                    f"{path}: {channel} is {image.shape} px where {self.channels[0]} of the same field is "
                    f"{images[0].shape}; fetch the plate again"
                )
            images.append(image)
        return np.stack(images)

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        try:
            # As plain TIFF: an OME-TIFF of several files would be read together with its sister files.
            with tifffile.TiffFile(path, is_ome=False) as file:
                page = file.pages.first
                if len(file.pages) != 1:
                    raise ValueError(f"{len(file.pages)} pages where one is expected")
                if min(page.databytecounts) == 0:
                    raise ValueError("a part of it was never written")
                image: np.ndarray = page.asarray()
        except OSError as error:
            raise OSError(f"{path} cannot be read: {error}") from error
        # tifffile and zlib raise many kinds of error on damaged files; to the caller they are one.
        except Exception as error:
            if "imagecodecs" in str(error):
                raise ValueError(
                    f"{path} is compressed in a way that needs the package imagecodecs ({error}): "
                    "pip install imagecodecs"
                ) from error
            raise ValueError(f"{path} is damaged or no TIFF ({error}); fetch the plate again") from error
        if image.ndim != 2 or image.dtype != np.uint16:
            raise ValueError(f"{path} holds {image.shape} {image.dtype}; expected one 16-bit grey image")
        return image

    def __repr__(self) -> str:
        return (
            f"Screen({str(self.root)!r}: {len(self.fields)} fields, {self.fields['plate'].nunique()} plates, "
            f"{len(self.treatments)} treatments, {self.treatments['moa'].nunique()} MoAs)"
        )
