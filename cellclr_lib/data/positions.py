"""Read published cell positions: where the nuclei of a screen lie, from two text tables.

The supplement of Ljosa et al. 2013 (Data S2) lists every cell of the annotated wells of BBBC021:
``supplement_Object.txt``, one row per cell, and ``supplement_Image.txt``, one row per field, tab-separated and
without a header. Their columns are named in the database statements that come with them, ``supplement_Object.sql``
and ``supplement_Image.sql``. Explained in chapter 9, *the real screen*.

Known from published code that uses these files: the tabs, the missing header, the ``.sql`` files, and the names of
the columns of `KEYS` and `CENTRE`. Not confirmed, since the files were not available: the name of `FILE`, which is
that of BBBC021's own image table, and that positions count from 0, as CellProfiler's do.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

KEYS = ["TableNumber", "ImageNumber"]  # together they name a field in both tables
CENTRE = ["Nuclei_Location_Center_Y", "Nuclei_Location_Center_X"]  # row and column in the field, px
FILE = "Image_FileName_DAPI"  # by which a row of the image table is found in the screen


def read_positions(object_table: str | Path, image_table: str | Path, fields: pd.DataFrame) -> list[np.ndarray]:
    """Read the nuclei of the fields of a screen.

    Parameters
    ----------
    object_table, image_table : path
        Tab-separated. Column names stand in the file of the same name that ends in ``.sql``, in the manner of
        ``CREATE TABLE``, or, if there is none, in the first line.
    fields : pandas.DataFrame
        Of a `Screen`, or a part of them.

    Returns
    -------
    list of ndarray, shape (n, 2), float64
        For each of `fields` the centres of its nuclei, (row, column) in px as `crop_cells` takes them, in the
        order of the table; n is 0 for a field that is in the image table and has no cell.

    Raises
    ------
    FileNotFoundError
        If a table is missing.
    ValueError
        If a table lacks a column or does not fit its ``.sql``, a number cannot be read, a field occurs twice,
        cells belong to no field, or a field of the screen has no row in the image table.
    """
    images = _read(image_table, [*KEYS, FILE])
    if (twice := images.duplicated(KEYS) | images.duplicated(FILE)).any():
        raise ValueError(
            f"{image_table}: the field {images.loc[twice, FILE].iloc[0]!r} occurs twice; expected once"
        )
    row_of_file = pd.Series(np.arange(len(images)), images[FILE])
    rows = row_of_file.reindex(fields["file_dna"])
    if (without := rows.isna().to_numpy()).any():
        first = fields[without].iloc[0]
        raise ValueError(
            f"{image_table} has no row for {without.sum()} of {len(fields)} fields, first {first['plate']} "
            f"{first['well']} site {first['site']} ({first['file_dna']}); leave such fields out with "
            "Screen.subset, or have nuclei found"
        )
    cells = _read(object_table, [*KEYS, *CENTRE])
    centres = cells[CENTRE].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if (bad := ~np.isfinite(centres).all(axis=1)).any():
        raise ValueError(
            f"{object_table}: {CENTRE[0]}, {CENTRE[1]} of cell {np.flatnonzero(bad)[0] + 1} are "
            f"{tuple(cells.loc[bad, CENTRE].iloc[0])}; expected two numbers"
        )
    owner = pd.MultiIndex.from_frame(images[KEYS]).get_indexer(pd.MultiIndex.from_frame(cells[KEYS]))
    if (lost := owner < 0).any():
        table, image = cells.loc[lost, KEYS].iloc[0]
        raise ValueError(
            f"{object_table}: {lost.sum()} cells belong to fields that {image_table} does not list, first "
            f"{KEYS[0]} {table}, {KEYS[1]} {image}; take both tables from one source"
        )
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(images) + 1))
    return [centres[order[starts[row] : starts[row + 1]]] for row in rows.astype(int)]


def _read(path: str | Path, columns: list[str]) -> pd.DataFrame:
    """Read the named columns of one table, as text."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: positions need a table of cells and one of fields")
    with path.open() as lines:
        first = lines.readline().rstrip("\r\n").split("\t")
    statement = path.with_suffix(".sql")
    named_in = statement if statement.is_file() else path
    # A definition begins with the column's name in backticks; lines about the table and its keys do not.
    names = re.findall(r"^\s*`(\w+)`", statement.read_text(), re.MULTILINE) if named_in == statement else first
    if missing := [name for name in columns if name not in names]:
        raise ValueError(
            f"{path} lacks the column(s) {', '.join(missing)}: {named_in.name} names {len(names)} columns, "
            f"{', '.join(names[:5])} …; a table without a header needs {statement.name} beside it"
        )
    if len(names) != len(first):
        raise ValueError(f"{path} has {len(first)} columns, {statement.name} names {len(names)}; fetch both again")
    return pd.read_csv(
        path, sep="\t", header=None, skiprows=int(named_in == path), names=names, usecols=columns, dtype=str
    )
