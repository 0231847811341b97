"""Find the nearest admissible neighbour of each profile, and whether it is right: the core of every score.

Which neighbours are admissible and what is right is said by columns of the annotations (`retrieval`). Of rows that
tie exactly the first one counts. Explained in chapter 6, *evaluation*.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellclr_lib.annotations import round_concentration
from cellclr_lib.profiles.formats import Profiles

if TYPE_CHECKING:
    from cellclr_lib.profiles.formats import Annotations, Features

log = logging.getLogger(__name__)

_BLOCK = 16_000_000  # similarities held at a time
_SHOWN = "plate well compound concentration_um moa batch".split()

Mask = Callable[[np.ndarray], np.ndarray]  # (q,) row numbers -> (q, n) bool


@dataclass(frozen=True)
class Score:
    """Hold how many queries found a neighbour of their own kind.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["a", "b"], "moa": ["Actin", "Actin"]})
    >>> score = retrieval(meta, np.eye(2) + 1, different=["compound"], right=["moa"], name="NSC")
    >>> print(score)
    NSC 2/2 (100.0 %)
    """

    name: str  #: "NSC", "NSCB", ...
    protocol: str  #: "strict" or "published"
    neighbours: pd.DataFrame  #: one row per query: its columns, ``neighbour_…``, ``similarity``, ``correct``
    chance: float  #: expected accuracy if any admissible neighbour were equally likely
    left_out: dict[str, int]  #: why queries are missing: reason or MoA -> number of queries

    @property
    def correct(self) -> int:
        """Number of queries whose neighbour is right."""
        return int(self.neighbours["correct"].sum())

    @property
    def total(self) -> int:
        """Number of queries, the denominator."""
        return len(self.neighbours)

    @property
    def accuracy(self) -> float:
        """``correct / total`` in [0, 1]; NaN without queries."""
        return self.correct / self.total if self.total else float("nan")

    def by(self, column: str) -> pd.DataFrame:
        """Tabulate ``correct total accuracy`` for each value of a query's column, "moa" or "batch" for one."""
        groups = self.neighbours.groupby(column)["correct"]
        table = pd.DataFrame({"correct": groups.sum().astype(int), "total": groups.size()})
        return table.assign(accuracy=table["correct"] / table["total"])

    def __str__(self) -> str:
        return f"{self.name} {self.correct}/{self.total} ({100 * self.accuracy:.1f} %)"


def retrieval(
    meta: Annotations,
    feats: Features | None = None,
    *,
    same: Sequence[str] = (),
    different: Sequence[str] = (),
    right: Sequence[str],
    queries: np.ndarray | None = None,
    answerable_only: bool = False,
    drop_confined: str | None = None,
    name: str = "retrieval",
    protocol: str = "strict",
) -> Score:
    """Score how often the nearest admissible neighbour of a query is right.

    Parameters
    ----------
    meta, feats : DataFrame and ndarray, shape (n, D)
        One row per profile; or another form of `cellclr_lib.profiles.formats`. All rows are references.
    same : sequence of str
        A neighbour is admissible if it agrees with the query in all these columns ...
    different : sequence of str
        ... and differs from it in all these. A column may hold one value or a set (tuple, list, set) of values per
        row, such as the weeks of a treatment: two sets agree if they share a value, and differ if they share none.
    right : sequence of str
        The neighbour is right if it agrees with the query in all these columns.
    queries : (n,) bool array, optional
        Rows that are queries; all by default.
    answerable_only : bool
        Leave out a query without any *right* admissible neighbour. False: it counts as wrong. A query without any
        admissible neighbour is always left out.
    drop_confined : str, optional
        A column of sets or values. Rows leave queries and references if all rows that agree with them in `right`
        share one value of this column: a mechanism that was seen in one week only, for one.
    name, protocol : str
        Of the `Score`.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        If a column is missing, or a profile is all zeros.

    Notes
    -----
    Similarity is the cosine. Numbers (concentrations) are compared at six significant digits. NSC, NSCB, replicate
    retrieval and week accuracy are this function with other columns; see `cellclr_lib.profiles.metrics`. Explained
    in chapter 6, *evaluation*.

    Examples
    --------
    Is the nearest well of another plate of the same donor?

    >>> meta = pd.DataFrame({"plate": ["p1", "p1", "p2", "p2"], "donor": ["A", "B", "A", "B"]})
    >>> feats = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.6, 0.4]])
    >>> score = retrieval(meta, feats, different=["plate"], right=["donor"])
    >>> print(score)
    retrieval 3/4 (75.0 %)
    """
    columns = dict.fromkeys([*same, *different, *right, *([drop_confined] if drop_confined else [])])
    profiles = Profiles(meta, feats, list(columns))
    meta, feats = profiles.meta.reset_index(drop=True), profiles.feats
    queried = np.ones(len(meta), dtype=bool) if queries is None else np.asarray(queries, dtype=bool)
    if queried.shape != (len(meta),):
        raise ValueError(f"queries must be a mask of {len(meta)} rows, not of the shape {queried.shape}")
    left_out = {}
    if drop_confined:
        confined = _confined(meta, right, drop_confined)
        groups = meta.loc[confined & queried, list(right)].value_counts(sort=True)
        left_out = {
            f"{', '.join(map(str, group))}: all in one {_WORDS.get(drop_confined, drop_confined)}": int(n)
            for group, n in groups.items()
        }
        meta, feats, queried = meta[~confined].reset_index(drop=True), feats[~confined], queried[~confined]
    agree = {column: _agreement(meta[column]) for column in columns}

    def admissible(q: np.ndarray) -> np.ndarray:
        mask = np.ones((len(q), len(meta)), dtype=bool)
        for column in same:
            mask &= agree[column](q)
        for column in different:
            mask &= ~agree[column](q)
        return mask

    def fits(q: np.ndarray) -> np.ndarray:
        return np.logical_and.reduce([agree[column](q) for column in right])

    rows = np.flatnonzero(queried)
    return _nearest(meta, feats, rows, admissible, fits, answerable_only, name, protocol, left_out)


def confusion(score: Score) -> pd.DataFrame:
    """Count the pairs of a score: the query's MoA by row, its neighbour's by column.

    Examples
    --------
    >>> meta = pd.DataFrame({"compound": ["a", "b"], "moa": ["Actin", "DNA"]})
    >>> confusion(retrieval(meta, np.eye(2) + 1, different=["compound"], right=["moa"])).to_numpy().tolist()
    [[0, 1], [1, 0]]
    """
    pairs = score.neighbours
    kinds = sorted(set(pairs["moa"]) | set(pairs["neighbour_moa"]))
    return pd.crosstab(pairs["moa"], pairs["neighbour_moa"]).reindex(index=kinds, columns=kinds, fill_value=0)


_WORDS = {"batch": "week"}


def _nearest(
    meta: pd.DataFrame,
    feats: np.ndarray,
    queries: np.ndarray,
    admissible: Mask,
    fits: Mask,
    answerable_only: bool,
    name: str,
    protocol: str,
    left_out: dict[str, int],
) -> Score:
    """Find the nearest admissible row of every query, block by block."""
    unit = _unit(feats)
    best, similarity, correct, chance, kept = [], [], [], [], []
    step = max(1, _BLOCK // max(1, len(unit)))
    for q in np.split(queries, range(step, len(queries), step)):
        open_to, right = admissible(q), fits(q)
        answers = (open_to & right).sum(axis=1)
        cosine = np.where(open_to, unit[q] @ unit.T, -np.inf)
        nearest = cosine.argmax(axis=1) if len(unit) else np.zeros(0, dtype=int)
        counts = open_to.any(axis=1) & ((answers > 0) | (not answerable_only))
        row = np.arange(len(q))
        best.append(nearest[counts])
        similarity.append(cosine[row, nearest][counts])
        correct.append(right[row, nearest][counts])
        chance.append(answers[counts] / open_to.sum(axis=1)[counts])
        kept.append(q[counts])
    rows, found = np.concatenate(kept), np.concatenate(best)
    shown = meta[[column for column in _SHOWN if column in meta]]
    pairs = pd.concat(
        [
            shown.iloc[rows].reset_index(drop=True),
            shown.iloc[found].reset_index(drop=True).add_prefix("neighbour_"),
        ],
        axis=1,
    )
    pairs["similarity"], pairs["correct"] = np.concatenate(similarity), np.concatenate(correct)
    if len(rows) < len(queries):
        left_out = {"no admissible neighbour": len(queries) - len(rows)} | left_out
    if not len(rows):
        log.warning("%s: none of %d queries has an admissible neighbour", name, len(queries))
    expected = float(np.concatenate(chance).mean()) if len(rows) else float("nan")
    return Score(name, protocol, pairs, expected, left_out)


def _unit(feats: np.ndarray) -> np.ndarray:
    feats = np.asarray(feats, dtype=float)
    length = np.linalg.norm(feats, axis=1, keepdims=True)
    if (empty := length[:, 0] == 0).any():
        raise ValueError(
            f"{empty.sum()} profiles are all zeros (the first is row {np.flatnonzero(empty)[0]}); "
            "a cosine needs a direction: check the features, or the rows they were standardised on"
        )
    return feats / length


def _agreement(column: pd.Series) -> Mask:
    """Return a function from row numbers to the mask of the rows that agree with them."""
    if any(isinstance(value, tuple | list | set | frozenset) for value in column):
        member = _membership(column).astype(np.float32)
        return lambda q: member[q] @ member.T > 0
    values: Any = round_concentration(column) if pd.api.types.is_float_dtype(column) else column
    code = pd.factorize(values)[0]
    return lambda q: code[q, None] == code


def _membership(column: pd.Series) -> np.ndarray:
    """Mark which values each row holds, (n, values) bool; a row holds one value or a set of them."""
    sets = [tuple(v) if isinstance(v, tuple | list | set | frozenset) else (v,) for v in column]
    row = np.repeat(np.arange(len(sets)), [len(values) for values in sets])
    code, names = pd.factorize(np.array([value for values in sets for value in values], dtype=object))
    member = np.zeros((len(sets), len(names)), dtype=bool)
    member[row, code] = True
    return member


def _confined(meta: pd.DataFrame, right: Sequence[str], column: str) -> np.ndarray:
    """Mask of the rows whose kind (the columns `right`) shares one value of `column` in all its rows."""
    kind = meta.groupby(list(right), sort=False, dropna=False).ngroup().to_numpy()
    member = pd.DataFrame(_membership(meta[column]))
    shared: np.ndarray = member.groupby(kind).transform("all").any(axis=1).to_numpy()
    return shared
