"""Read and check what each well holds: the image table and the mechanism table of a screen, joined.

Cells and profiles read their annotations here, so that a cell and a profile from the same well can never
disagree about its compound, its mechanism of action (MoA) or its role.

Taxol has two roles. BBBC021 carries taxol 0.3 µM as positive control in six wells of all 55 plates, and the same
treatment once more in taxol's own dose series on three plates. Scored together, these wells make a treatment
that has seen every week, which no other treatment has. Only the dose-series wells count as treatment here, as
in the profiles of Ljosa et al. 2013. Explained in chapter 1, the screen, and chapter 6, evaluation.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

log = logging.getLogger(__name__)

CHANNELS = {"dna": "DAPI", "tubulin": "Tubulin", "actin": "Actin"}  # ours -> the table's, in our order
CONTROL = "DMSO"
POSITIVE_CONTROL = ("taxol", 0.3)  # compound and concentration in µM
WELL_COLUMNS = "plate well batch replicate compound concentration_um moa role".split()  # of a profile

_WELL_COLUMNS = {
    "plate": "Image_Metadata_Plate_DAPI",
    "well": "Image_Metadata_Well_DAPI",
    "replicate": "Replicate",
    "compound": "Image_Metadata_Compound",
    "concentration_um": "Image_Metadata_Concentration",
}
_FILE_COLUMNS = {f"file_{ours}": f"Image_FileName_{theirs}" for ours, theirs in CHANNELS.items()}
_PATH_COLUMNS = {f"path_{ours}": f"Image_PathName_{theirs}" for ours, theirs in CHANNELS.items()}


def read_annotations(
    image_table: str | Path,
    moa_table: str | Path,
    *,
    positive_control: tuple[str, float] | None = POSITIVE_CONTROL,
) -> pd.DataFrame:
    """Read and join the two tables of a screen in BBBC021's layout; one row per field.

    Parameters
    ----------
    image_table, moa_table : path
        ``BBBC021_v1_image.csv`` and ``BBBC021_v1_moa.csv``, or tables with the same columns.
    positive_control : (str, float) or None
        Compound and concentration (µM) of the positive control. None: the screen has none.

    Returns
    -------
    DataFrame
        ``plate well site batch replicate compound concentration_um moa role``, then ``file_`` and ``path_``
        (file name and folder, as the table gives them) of ``dna``, ``tubulin`` and ``actin``.

        * ``site`` numbers the fields of a well 1, 2, ... by ``TableNumber`` and ``ImageNumber``, or in table
          order where the table lacks these two.
        * ``batch`` is the plate's name up to its first underscore (the week).
        * ``moa`` is "DMSO" for controls and "" where compound and concentration have no annotation.
        * ``role`` is "control" (DMSO), "positive_control", "treatment" (annotated: these are scored) or
          "unannotated".

    Raises
    ------
    FileNotFoundError, ValueError
        Where a table is missing, lacks a column, holds something that is not a number in a number's place, or
        gives one well two contents or one treatment two mechanisms.
    """
    image_table, moa_table = Path(image_table), Path(moa_table)
    raw = _read(image_table, [*_WELL_COLUMNS.values(), *_FILE_COLUMNS.values(), *_PATH_COLUMNS.values()])
    table = pd.DataFrame({ours: raw[theirs] for ours, theirs in _WELL_COLUMNS.items()})
    for column in ("plate", "well", "compound"):
        if (empty := table[column] == "").any():
            raise ValueError(f"{image_table}: {_WELL_COLUMNS[column]} is empty in {_lines(empty)}")
    table["batch"] = table["plate"].str.replace("_.*", "", regex=True)
    replicate = _numbers(raw, _WELL_COLUMNS["replicate"], image_table)
    if (broken := pd.Series(replicate % 1 != 0)).any():
        first = replicate[broken][0]
        raise ValueError(
            f"{image_table}: {_WELL_COLUMNS['replicate']} is {first:g} in {_lines(broken)}; expected 1, 2 …"
        )
    table["replicate"] = replicate.astype(int)
    table["concentration_um"] = _numbers(raw, _WELL_COLUMNS["concentration_um"], image_table)
    table["site"] = _sites(raw, table, image_table)
    _check_control_name(table, image_table)
    _check_files(raw, image_table)
    _check_one_spelling_per_well(table, image_table)
    _check_one_content_per_well(table, image_table)

    annotation = _mechanisms(moa_table)
    if unused := sorted(set(annotation.index.get_level_values(0)) - set(table["compound"]) - {CONTROL}):
        log.info("%d compounds of %s do not occur in %s", len(unused), moa_table.name, image_table.name)
    keys = pd.MultiIndex.from_arrays([table["compound"], table["concentration_um"]])
    table["moa"] = annotation.reindex(keys).fillna("").to_numpy()
    table.loc[table["compound"] == CONTROL, "moa"] = CONTROL
    table["role"] = _roles(table, positive_control)
    if len(bare := table.loc[table["role"] == "unannotated", "compound"]):
        log.info("%d compounds of %s lack a mechanism at some dose", bare.nunique(), image_table.name)

    order = "plate well site batch replicate compound concentration_um moa role".split()
    files = {ours: raw[theirs] for ours, theirs in (_FILE_COLUMNS | _PATH_COLUMNS).items()}
    return table[order].assign(**files)


def round_concentration(values: Any) -> np.ndarray:
    """Round to six significant digits, so that 0.3 is one number in every table, in float32 too.

    Examples
    --------
    >>> (round_concentration([0.3, 0.1 + 0.2, np.float32(0.3)]) == 0.3).tolist()
    [True, True, True]
    """
    doses, place = np.unique(np.asarray(values, dtype=float), return_inverse=True)
    return np.array([float(f"{dose:.5e}") for dose in doses])[place]


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: a screen needs its image table and its MoA table")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        contents = path.read_bytes()
        # pandas reads in pieces and counts from the start of one: look for the line in the whole file.
        try:
            contents.decode("utf-8")
            line = 1
        except UnicodeDecodeError as found:
            line = contents.count(b"\n", 0, found.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 ({error}); save the table as UTF-8") from error
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(table)}")
    if table.empty:
        raise ValueError(f"{path} has a header and no rows")
    return table.apply(lambda column: column.str.strip())


def _numbers(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce")
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise ValueError(
            f"{path}: {column} is {table.loc[bad, column].iloc[0]!r} in {_lines(bad)}; "
            "expected a number that is not negative"
        )
    return round_concentration(values)


def _lines(mask: Any) -> str:
    """Name the lines of a mask as an editor counts them (the header is line 1): 'line 7 and 3 more'."""
    rows = np.flatnonzero(mask)
    return f"line {rows[0] + 2}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")


def _sites(raw: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.Series:
    order = pd.DataFrame(index=table.index)
    for column in ("TableNumber", "ImageNumber"):
        if column in raw:
            order[column] = _numbers(raw, column, path)
    if len(order.columns) == 2:  # a few wells of BBBC021 are listed as 3, 4, 1, 2; their numbers are in order
        order = order.sort_values(list(order), kind="stable")
    return table.loc[order.index].groupby(["plate", "well"]).cumcount().reindex(table.index) + 1


def _check_control_name(table: pd.DataFrame, path: Path) -> None:
    """Refuse dmso beside DMSO: its wells would be compounds."""
    other = (table["compound"] != CONTROL) & (table["compound"].str.upper() == CONTROL)
    if other.any():
        name = table.loc[other, "compound"].iloc[0]
        raise ValueError(f"{path}: the compound is {name!r} in {_lines(other)}; controls are named {CONTROL}")


def _check_files(raw: pd.DataFrame, path: Path) -> None:
    """Refuse an image that is listed twice, as another field, well or channel."""
    names = [raw[_PATH_COLUMNS[f"path_{ours}"]] + "/" + raw[_FILE_COLUMNS[f"file_{ours}"]] for ours in CHANNELS]
    files = pd.concat(names)  # the index is the line of the table
    twice = files[files.duplicated(keep=False)]
    if len(twice):
        lines = sorted({int(line) + 2 for line in twice.index[twice == twice.iloc[0]]})
        where = f"lines {lines[0]} and {lines[1]}" if len(lines) > 1 else f"two channels of line {lines[0]}"
        raise ValueError(f"{path}: the image {twice.iloc[0]} is listed in {where}; expected once")


def _check_one_spelling_per_well(table: pd.DataFrame, path: Path) -> None:
    """Refuse B2 beside B02: one place of a plate would become two wells."""
    wells = table[["plate", "well"]].drop_duplicates()
    parts = wells["well"].str.extract(r"^([A-Za-z]+)0*(\d+)$")
    place = wells["plate"] + "\0" + parts[0].str.upper() + parts[1]
    twice = wells[place.notna() & place.duplicated(keep=False)]
    if len(twice):
        first = twice.index[0]
        names, plate = wells.loc[place == place[first], "well"], wells.loc[first, "plate"]
        line = table.index[(table["plate"] == plate) & table["well"].isin(names)][0] + 2
        raise ValueError(
            f"{path}: plate {plate} names one well {' and '.join(names)}, first in line {line}; "
            "expected one spelling"
        )


def _check_one_content_per_well(table: pd.DataFrame, path: Path) -> None:
    contents = table.drop_duplicates(["plate", "well", "compound", "concentration_um"])
    twice = contents[contents.duplicated(["plate", "well"], keep=False)]
    if len(twice):
        plate, well = twice[["plate", "well"]].iloc[0]
        found = twice[(twice["plate"] == plate) & (twice["well"] == well)]
        contents = " and ".join(found["compound"] + found["concentration_um"].map(" {:g} µM".format))
        raise ValueError(f"{path}: well {well} of plate {plate} holds {contents}; expected one treatment")


def _mechanisms(path: Path) -> pd.Series:
    """Read the MoA of each (compound, concentration)."""
    table = _read(path, ["compound", "concentration", "moa"])
    table["concentration"] = _numbers(table, "concentration", path)
    table = table.drop_duplicates(["compound", "concentration", "moa"])
    twice = table.duplicated(["compound", "concentration"], keep=False)
    if twice.any():
        compound, dose = table.loc[twice, ["compound", "concentration"]].iloc[0]
        raise ValueError(f"{path}: {compound} at {dose:g} µM has more than one mechanism; expected one")
    return table.set_index(["compound", "concentration"])["moa"]


def _roles(table: pd.DataFrame, positive_control: tuple[str, float] | None) -> pd.Series:
    role = np.where(table["moa"] == "", "unannotated", "treatment").astype(object)
    role[table["compound"] == CONTROL] = "control"
    if positive_control is not None:
        compound, dose = positive_control[0], round_concentration([positive_control[1]])[0]
        everywhere = (table["compound"] == compound) & (table["concentration_um"] == dose)
        role[everywhere & ~_in_dose_series(table, compound, dose)] = "positive_control"
    return pd.Series(role, index=table.index, dtype=table["compound"].dtype)


def _in_dose_series(table: pd.DataFrame, compound: str, dose: float) -> np.ndarray:
    """Mark the rows whose well holds `dose` as a step of a dose series of `compound`.

    A series lies in one row of a plate and holds each dose once. So the row must hold the compound at other
    doses too; and where it holds `dose` twice (D05, and the control D11), the well nearer to the next dose is
    the step.
    """
    wells = table[table["compound"] == compound].drop_duplicates(["plate", "well"])
    place = wells["well"].str.extract(r"^([A-Za-z]+)(\d+)$")
    if place.isna().any(axis=None):
        odd = wells["well"][place[0].isna()].iloc[0]
        raise ValueError(
            f"a well of {compound}, the positive control, is named {odd!r}; expected row and "
            "column (D05), or positive_control=None"
        )
    steps = set()
    for (plate, _), row in wells.groupby([wells["plate"], place[0]]):
        column = place[1].loc[row.index].astype(int)
        same = row["concentration_um"] == dose
        others = row[~same & (row["concentration_um"] > 0)]
        if same.any() and len(others):
            following = (np.log(others["concentration_um"] / dose)).abs().idxmin()
            nearest = (column[same] - column[following]).abs().idxmin()
            steps.add((plate, row.loc[nearest, "well"]))
    return np.array([key in steps for key in zip(table["plate"], table["well"], strict=True)], dtype=bool)


def is_control(meta: pd.DataFrame) -> np.ndarray:
    """Mark the DMSO rows, on which post-processing is fitted.

    Examples
    --------
    >>> is_control(pd.DataFrame({"compound": ["DMSO", "taxol"]})).tolist()
    [True, False]
    """
    return (meta["compound"] == CONTROL).to_numpy(dtype=bool)


def is_treatment(meta: pd.DataFrame) -> np.ndarray:
    """Mark the rows that are scored: role "treatment", or without roles, annotated and not DMSO.

    Examples
    --------
    >>> is_treatment(pd.DataFrame({"compound": ["DMSO", "taxol"], "moa": ["DMSO", "Actin"]})).tolist()
    [False, True]
    """
    if "role" in meta:
        return (meta["role"] == "treatment").to_numpy(dtype=bool)
    annotated = meta["moa"].notna() & ~meta["moa"].isin(["", CONTROL])
    return annotated.to_numpy(dtype=bool) & ~is_control(meta)
