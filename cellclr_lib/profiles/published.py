"""Read the published profiles of Ljosa et al. 2013, and the scores that others have published for BBBC021."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cellclr_lib.annotations import WELL_COLUMNS, read_annotations
from cellclr_lib.profiles.formats import checked

UNCLEAN = {"Location", "Parent", "Number", "Children", "Center", "Orientation"}  # where a cell lies


def load_profiles(
    path: str | Path, image_table: str | Path, moa_table: str | Path, *, clean: bool = True
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the per-well profiles of Ljosa et al. 2013 and annotate them from the screen's own tables.

    Parameters
    ----------
    path : path
        ``ljosa_jbiomolscreen_2013_per_well_mean.csv.gz``: columns ``Image_Metadata_Plate``,
        ``Image_Metadata_Well`` and CellProfiler features named ``Nuclei_``, ``Cells_`` or ``Cytoplasm_``.
    image_table, moa_table : path
        The tables of BBBC021, see `cellclr_lib.annotations.read_annotations`.
    clean : bool
        Drop a feature if Location, Parent, Number, Children, Center or Orientation is one of its parts:
        these say where a cell lies. Leaves 464 of 516.

    Returns
    -------
    meta : DataFrame
        One row per well, DMSO included: ``plate well batch replicate compound concentration_um moa role``.
        ``meta.attrs["features"]`` holds the feature names.
    feats : (n, D) float64 array

    Raises
    ------
    FileNotFoundError, ValueError
        If a table is missing, lacks a column, or does not know a well.

    Notes
    -----
    Explained in chapter 6, *evaluation*.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: expected the per-well means of Ljosa et al. 2013")
    table = pd.read_csv(path)
    keys = {"Image_Metadata_Plate": "plate", "Image_Metadata_Well": "well"}
    if missing := [key for key in keys if key not in table]:
        raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}")
    names = [name for name in table if name.split("_")[0] in ("Nuclei", "Cells", "Cytoplasm")]
    if clean:
        names = [name for name in names if not UNCLEAN & set(name.split("_"))]
    known = read_annotations(image_table, moa_table).drop_duplicates(["plate", "well"])[WELL_COLUMNS]
    meta = table[list(keys)].rename(columns=keys).merge(known, how="left", on=["plate", "well"])
    if (unknown := meta["compound"].isna()).any():
        plate, well = meta.loc[unknown, ["plate", "well"]].iloc[0]
        raise ValueError(f"{path}: {unknown.sum()} wells are not in {image_table}, first {plate} {well}")
    meta["replicate"] = meta["replicate"].astype(int)
    meta.attrs["features"] = names
    return meta, checked(meta, table[names].to_numpy(dtype=float))


def published_scores() -> pd.DataFrame:
    """Read the scores that others have published for BBBC021, to be read beside those of `tabulate_scores`.

    Returns
    -------
    pandas.DataFrame
        ``method year supervision post nsc nsc_status nscb nscb_status source``: scores in percent, NaN where none
        is confirmed; status "read" in a primary source, "inferred" from statements in it, or "unconfirmed";
        ``source`` is an entry of the book's bibliography. Explained in chapter 9, *the real screen*.

    Examples
    --------
    >>> list(published_scores())[:3]
    ['method', 'year', 'supervision']
    """
    return pd.read_csv(Path(__file__).with_name("published.csv"))
