"""Score profiles by whether the nearest neighbour is of the same kind, once easy neighbours are excluded.

NSC excludes neighbours of the same compound, NSCB those of the same week as well (Ljosa et al. 2013; Ando et al.
2017); the difference of the two, the drop, shows how much a score owes to the week. The other scores use no
mechanism and may choose epochs and settings. Each is one call of `cellclr_lib.profiles.neighbours.retrieval`.
Explained in chapter 6, *evaluation*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cellclr_lib.annotations import is_control, is_treatment
from cellclr_lib.profiles.aggregation import one_row_per_well
from cellclr_lib.profiles.formats import Profiles
from cellclr_lib.profiles.neighbours import Score, retrieval

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features

_TREATMENT = ("compound", "concentration_um")


def nsc(meta: Annotations, feats: Features | None = None, *, protocol: str = "strict") -> Score:
    """Score not-same-compound accuracy: the nearest treatment of another compound has the same MoA.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        ``compound concentration_um moa batch``, one row per treatment. Wells or cells do as well and are then
        queries themselves. Rows that are not treatments (DMSO, positive controls, unannotated) are passed over.
        Or another form of `cellclr_lib.profiles.formats`.
    protocol : "strict" or "published"
        No difference here; see `nscb`.

    Returns
    -------
    Score
        A query that has no admissible neighbour is left out.

    Raises
    ------
    ValueError
        If a column is missing, no row is a treatment, or a profile is all zeros.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["a", "b", "c"], "concentration_um": 1.0, "batch": "Week1",
    ...                      "moa": ["Actin", "Actin", "DNA"]})
    >>> print(nsc(meta, np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])))
    NSC 2/3 (66.7 %)
    """
    meta, feats = _treatments(meta, feats, protocol)
    return retrieval(meta, feats, different=["compound"], right=["moa"], name="NSC", protocol=protocol)


def nscb(meta: Annotations, feats: Features | None = None, *, protocol: str = "strict") -> Score:
    """Score not-same-compound-and-batch accuracy: the neighbour must come from other weeks, too.

    A mechanism all of whose treatments share one week cannot be queried: it leaves queries and references
    (on BBBC021: cholesterol-lowering and kinase inhibitors). So does a query without any admissible neighbour.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        As for `nsc`. ``batch`` is a week or a tuple of weeks.
    protocol : "strict" or "published"
        "strict" compares weeks as sets: query and neighbour share none. "published" repeats the code of Perakis
        et al. 2021, which joins the weeks of a treatment into one string and compares strings, so that a
        treatment seen in ten weeks is nobody's batch mate.

    Returns
    -------
    Score
        ``left_out`` names the mechanisms that cannot be queried.

    Raises
    ------
    ValueError
        As for `nsc`.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["a", "b", "c"], "concentration_um": 1.0, "moa": "Actin",
    ...                      "batch": [("Week1",), ("Week1", "Week2"), ("Week3",)]})
    >>> score = nscb(meta, np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]))
    >>> score.neighbours[["compound", "neighbour_compound"]].to_numpy().tolist()
    [['a', 'c'], ['b', 'c'], ['c', 'a']]
    """
    meta, feats = _treatments(meta, feats, protocol, "batch")
    if protocol == "published":
        meta = meta.assign(batch=[b if isinstance(b, str) else "_".join(sorted(b)) for b in meta["batch"]])
    return retrieval(
        meta, feats, different=["compound", "batch"], right=["moa"], drop_confined="batch", name="NSCB",
        protocol=protocol,
    )  # fmt: skip


def drop(nsc_score: Score, nscb_score: Score) -> float:
    """Subtract NSCB from NSC, in [-1, 1]: what the score loses when the week cannot help.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["a", "b", "c"], "concentration_um": 1.0, "moa": ["M", "M", "M"],
    ...                      "batch": ["Week1", "Week1", "Week2"]})
    >>> feats = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> drop(nsc(meta, feats), nscb(meta, feats))
    0.0
    """
    return nsc_score.accuracy - nscb_score.accuracy


def replicate_retrieval(meta: Annotations, feats: Features | None = None) -> Score:
    """Score how often a treated well's nearest well on other plates of its week has the same treatment.

    Uses the plate map and no mechanism, so it may choose epochs and settings. Kept within one week, since all
    replicates of a treatment lie in one and a pure week effect would raise the score.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (wells, D)
        One row per well: ``plate well batch compound concentration_um`` and, if known, ``role``; or another form
        of `cellclr_lib.profiles.formats`. Queries and references are all treated wells, unannotated ones included;
        no controls.

    Returns
    -------
    Score
        ``score.by("batch")`` shows the weeks. A well whose treatment stands on no other plate of its week
        is left out as a query.

    Raises
    ------
    ValueError
        If a column is missing, a well occurs twice, or a profile is all zeros.

    Examples
    --------
    >>> meta = pd.DataFrame({"plate": ["p1", "p1", "p2", "p2"], "well": ["A1", "A2", "A1", "A2"], "batch": "Week1",
    ...                      "compound": ["a", "b", "a", "b"], "concentration_um": 1.0})
    >>> print(replicate_retrieval(meta, np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1]])))
    replicate retrieval 4/4 (100.0 %)
    """
    meta, feats = _wells(meta, feats, ["batch", *_TREATMENT])
    treated = ~is_control(meta)
    if "role" in meta:
        treated &= (meta["role"] != "positive_control").to_numpy(dtype=bool)
    return retrieval(
        meta[treated], feats[treated], same=["batch"], different=["plate"], right=_TREATMENT,
        answerable_only=True, name="replicate retrieval",
    )  # fmt: skip


def week_accuracy(meta: Annotations, feats: Features | None = None) -> Score:
    """Score how often a DMSO well's nearest DMSO well on any other plate is of its own week. Lower is better.

    A representation free of batch effects stays at `chance`.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (wells, D)
        One row per well: ``plate well batch compound``; or another form of `cellclr_lib.profiles.formats`. Only
        DMSO wells are used.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        As for `replicate_retrieval`.

    Examples
    --------
    >>> meta = pd.DataFrame({"plate": ["p1", "p2", "p3", "p4"], "well": "A1", "compound": "DMSO",
    ...                      "batch": ["Week1", "Week1", "Week2", "Week2"]})
    >>> print(week_accuracy(meta, np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 1]])))
    week accuracy 4/4 (100.0 %)
    """
    meta, feats = _wells(meta, feats, ["batch", "compound"])
    dmso = is_control(meta)
    return retrieval(
        meta[dmso], feats[dmso], different=["plate"], right=["batch"], answerable_only=True, name="week accuracy"
    )


def control_retrieval(meta: Annotations, feats: Features | None = None) -> Score:
    """Score how often a positive control's nearest well of other weeks has the same treatment. Higher is better.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (wells, D)
        One row per well: ``plate well batch compound concentration_um role``; or another form of
        `cellclr_lib.profiles.formats`. All wells are references.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        As for `replicate_retrieval`.

    Examples
    --------
    >>> meta = pd.DataFrame({"plate": ["p1", "p2", "p2"], "well": ["A1", "A1", "A2"], "batch": ["W1", "W2", "W2"],
    ...                      "compound": ["taxol", "taxol", "DMSO"], "concentration_um": [0.3, 0.3, 0.0],
    ...                      "role": ["positive_control", "positive_control", "control"]})
    >>> print(control_retrieval(meta, np.array([[1, 0], [1, 0.1], [0, 1]])))
    control retrieval 2/2 (100.0 %)
    """
    meta, feats = _wells(meta, feats, ["batch", *_TREATMENT, "role"])
    taxol = (meta["role"] == "positive_control").to_numpy(dtype=bool)
    return retrieval(
        meta, feats, different=["batch"], right=_TREATMENT, queries=taxol, answerable_only=True,
        name="control retrieval",
    )  # fmt: skip


def _treatments(
    meta: Annotations, feats: Features | None, protocol: str, *columns: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """Keep the rows that are treatments."""
    if protocol not in ("strict", "published"):
        raise ValueError(f"protocol is {protocol!r}; expected 'strict' or 'published'")
    profiles = Profiles(meta, feats, [*_TREATMENT, "moa", *columns])
    scored = is_treatment(profiles.meta)
    if not scored.any():
        raise ValueError("no row is a treatment: expected annotated compounds beside DMSO (columns moa, role)")
    return profiles.meta[scored], profiles.feats[scored]


def _wells(meta: Annotations, feats: Features | None, columns: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Check that each row is a well."""
    profiles = Profiles(meta, feats, ["plate", "well", *columns])
    one_row_per_well(profiles.meta)
    return profiles.meta, profiles.feats
