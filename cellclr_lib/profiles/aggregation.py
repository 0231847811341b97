"""Average cells to wells, and wells to treatments.

Every function takes and gives a pair ``(meta, feats)``: a DataFrame and an ``(n, D)`` array whose rows belong
together; or one of the other forms of `cellclr_lib.profiles.formats`. Explained in chapter 6, *evaluation*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from cellclr_lib.annotations import WELL_COLUMNS, is_treatment, round_concentration
from cellclr_lib.profiles.formats import Profiles

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features

_BLOCK_ROWS = 1024  # cells taken to float64 at a time: small enough for the processor's cache


def aggregate_wells(meta: Annotations, feats: Features | None = None) -> Any:
    """Average the cells of each well.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        One row per cell with at least ``plate`` and ``well``; or another form of `cellclr_lib.profiles.formats`.

    Returns
    -------
    meta : DataFrame
        One row per well in order of first appearance, with those of ``plate well batch replicate compound
        concentration_um moa role`` that came in. Well-level data comes back as it is.
    feats : (wells, D) array of the type that came in, summed in float64

    Raises
    ------
    ValueError
        If two cells of one well disagree on a column that is kept.

    Examples
    --------
    >>> meta = pd.DataFrame({"plate": "p", "well": ["A01", "A01", "A02"]})
    >>> wells, means = aggregate_wells(meta, np.array([[1.0], [3.0], [5.0]]))
    >>> wells["well"].tolist(), means.tolist()
    (['A01', 'A02'], [[2.0], [5.0]])
    """
    profiles = Profiles(meta, feats, ["plate", "well"])
    meta, feats = profiles.meta, profiles.feats
    kept = meta[[column for column in WELL_COLUMNS if column in meta]]
    code = kept.groupby(["plate", "well"], sort=False, dropna=False).ngroup().to_numpy()
    first = pd.Series(code).drop_duplicates().index
    out = kept.iloc[first].reset_index(drop=True)
    for column in kept.columns[2:]:
        differs = kept[column].to_numpy() != out[column].to_numpy()[code]
        differs &= ~(kept[column].isna().to_numpy() & out[column].isna().to_numpy()[code])
        if differs.any():
            cell = kept.iloc[np.flatnonzero(differs)[0]]
            raise ValueError(
                f"the cells of plate {cell['plate']}, well {cell['well']} differ in {column!r}; "
                "expected one value per well"
            )
    return profiles.with_rows(out, _segment_mean(feats, code, len(out)))


def aggregate_treatments(meta: Annotations, feats: Features | None = None) -> Any:
    """Take the median of the wells of each treatment, a compound at a concentration.

    DMSO, unannotated wells and positive controls are not treatments and are left out.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        One row per well with ``compound``, ``concentration_um``, ``moa``, ``batch`` and, if known, ``role``; or
        another form of `cellclr_lib.profiles.formats`.

    Returns
    -------
    meta : DataFrame
        ``compound concentration_um moa batch n_wells``, sorted by the first two. ``batch`` is the sorted
        tuple of the weeks that hold the treatment (sorted as text: Week10 stands before Week2).
    feats : (treatments, D) array of the type that came in

    Raises
    ------
    ValueError
        If a well occurs twice (these are cells: call `aggregate_wells` first), nothing is scored, or one treatment
        has two mechanisms.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["DMSO", "a", "a"], "concentration_um": [0.0, 1.0, 1.0],
    ...                      "moa": ["DMSO", "Actin", "Actin"], "batch": ["Week1", "Week1", "Week2"]})
    >>> treatments, medians = aggregate_treatments(meta, np.array([[0.0], [1.0], [4.0]]))
    >>> treatments["batch"].tolist(), medians.tolist()
    ([('Week1', 'Week2')], [[2.5]])
    """
    profiles = Profiles(meta, feats, ["compound", "concentration_um", "moa", "batch"])
    meta, feats = profiles.meta, profiles.feats
    one_row_per_well(meta)
    scored = np.flatnonzero(is_treatment(meta))
    if not len(scored):
        raise ValueError("no row is a treatment: expected annotated compounds beside DMSO (columns moa, role)")
    table = meta.iloc[scored].reset_index(drop=True)
    table["concentration_um"] = round_concentration(table["concentration_um"])
    rows, medians = [], []
    for (compound, dose), group in table.groupby(["compound", "concentration_um"]):
        if group["moa"].nunique() > 1:
            found = ", ".join(sorted(set(group["moa"])))
            raise ValueError(f"{compound} at {dose:g} µM has the mechanisms {found}; expected one")
        weeks = tuple(sorted(set(group["batch"])))
        rows.append((compound, dose, group["moa"].iloc[0], weeks, len(group)))
        medians.append(np.median(feats[scored[group.index]], axis=0))
    out = pd.DataFrame(rows, columns=["compound", "concentration_um", "moa", "batch", "n_wells"])
    return profiles.with_rows(out, np.stack(medians).astype(feats.dtype))


def one_row_per_well(meta: pd.DataFrame) -> None:
    """Raise where a plate and well occur twice: `meta` then describes cells."""
    if {"plate", "well"} <= set(meta) and meta.duplicated(["plate", "well"]).any():
        raise ValueError(
            "several rows share a plate and well: average the cells with aggregate_wells(meta, feats) first"
        )


def _segment_mean(feats: np.ndarray, code: np.ndarray, groups: int) -> np.ndarray:
    """Average the rows of each code: products with the sparse matrix of membership, block by sorted block."""
    order = np.argsort(code, kind="stable")
    total = np.zeros((groups, feats.shape[1]))
    for start in range(0, len(feats), _BLOCK_ROWS):
        rows = order[start : start + _BLOCK_ROWS]
        first, last = code[rows[0]], code[rows[-1]] + 1
        member = sparse.csr_array(
            (np.ones(len(rows)), (code[rows] - first, np.arange(len(rows)))), shape=(last - first, len(rows))
        )
        total[first:last] += member @ np.asarray(feats[rows], dtype=float)
    return (total / np.bincount(code, minlength=groups)[:, None]).astype(feats.dtype)
