"""Scores of profiles: is the nearest neighbour of the same kind, once the easy neighbours are forbidden?

NSC forbids neighbours of the same compound, NSCB those of the same week as well (Ljosa et al. 2013; Ando et al.
2017); the difference of the two, the drop, shows how much a score owes to the week. The other scores use no
mechanism and may choose epochs and settings. Explained in chapter 6, evaluation.

All of them are one question with different masks: for each query, which admissible row has the largest cosine,
and is it right? Of rows that tie exactly the first one counts.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellclr_lib.annotations import is_control, is_treatment, round_concentration
from cellclr_lib.profiles.aggregation import checked, one_row_per_well

log = logging.getLogger(__name__)

_BLOCK = 16_000_000  # similarities held at a time
_SHOWN = "plate well compound concentration_um moa batch".split()


@dataclass(frozen=True)
class Score:
    """How many queries found a neighbour of their own kind."""

    name: str  # "NSC", "NSCB", ...
    protocol: str  # "strict" or "published"
    neighbours: pd.DataFrame  # one row per query: its columns, neighbour_..., similarity, correct
    chance: float  # expected accuracy if any admissible neighbour were equally likely
    left_out: dict  # why queries are missing: reason or MoA -> number of queries

    @property
    def correct(self):
        """Number of queries whose neighbour is right."""
        return int(self.neighbours["correct"].sum())

    @property
    def total(self):
        """Number of queries, the denominator."""
        return len(self.neighbours)

    @property
    def accuracy(self):
        """``correct / total`` in [0, 1]; NaN without queries."""
        return self.correct / self.total if self.total else float("nan")

    def by(self, column):
        """Table of ``correct total accuracy`` for each value of a query's column, "moa" or "batch" for one."""
        groups = self.neighbours.groupby(column)["correct"]
        table = pd.DataFrame({"correct": groups.sum().astype(int), "total": groups.size()})
        return table.assign(accuracy=table["correct"] / table["total"])

    def __str__(self):
        return f"{self.name} {self.correct}/{self.total} ({100 * self.accuracy:.1f} %)"


def nsc(meta, feats, protocol="strict"):
    """Not-same-compound accuracy: the nearest treatment of another compound has the same MoA.

    Parameters
    ----------
    meta : DataFrame
        ``compound concentration_um moa batch``, one row per treatment. Wells or cells do as well and are then
        queries themselves. Rows that are not treatments (DMSO, positive controls, unannotated) are passed over.
        ``batch`` is a week or a tuple of weeks.
    feats : (n, D) float array
    protocol : "strict" or "published"
        No difference here; see `nscb`.

    Returns
    -------
    Score
        A query that has no admissible neighbour is left out.
    """
    return _moa_score("NSC", meta, feats, protocol, other_batch=False)


def nscb(meta, feats, protocol="strict"):
    """Not-same-compound-and-batch accuracy: the neighbour must come from other weeks, too.

    A mechanism all of whose treatments share one week cannot be queried: it leaves queries and references
    (on BBBC021: cholesterol-lowering and kinase inhibitors). So does a query without any admissible neighbour.

    Parameters
    ----------
    meta, feats : see `nsc`
    protocol : "strict" or "published"
        "strict" compares weeks as sets: query and neighbour share none. "published" repeats the code of Perakis
        et al. 2021, which joins the weeks of a treatment into one string and compares strings, so that a
        treatment seen in ten weeks is nobody's batch mate.
    """
    return _moa_score("NSCB", meta, feats, protocol, other_batch=True)


def drop(nsc_score, nscb_score):
    """Drop in accuracy from NSC to NSCB, in [-1, 1]: what the score loses when the week cannot help."""
    return nsc_score.accuracy - nscb_score.accuracy


def replicate_retrieval(meta, feats):
    """Among the other plates of its week, is a treated well's nearest well the same treatment?

    Uses the plate map and no mechanism, so it may choose epochs and settings. Kept within one week, since all
    replicates of a treatment lie in one and a pure week effect would raise the score.

    Parameters
    ----------
    meta : DataFrame
        One row per well: ``plate well batch compound concentration_um`` and, if known, ``role``.
        Queries and references are all treated wells, unannotated ones included; no controls.
    feats : (wells, D) float array

    Returns
    -------
    Score
        ``score.by("batch")`` shows the weeks. A well whose treatment stands on no other plate of its week
        is left out as a query.
    """
    feats = checked(meta, feats, ["plate", "well", "batch", "compound", "concentration_um"])
    one_row_per_well(meta)
    treated = ~is_control(meta)
    if "role" in meta:
        treated &= (meta["role"] != "positive_control").to_numpy(dtype=bool)
    meta, feats = meta[treated], feats[treated]
    plate, week, treatment = _code(meta["plate"]), _code(meta["batch"]), _treatment_code(meta)
    return _retrieve(
        "replicate retrieval",
        "strict",
        meta,
        feats,
        np.arange(len(meta)),
        admissible=lambda q: (week[q, None] == week) & (plate[q, None] != plate),
        right=lambda q: treatment[q, None] == treatment,
        must_be_answerable=True,
    )


def week_accuracy(meta, feats):
    """Is a DMSO well's nearest DMSO well on any other plate from its own week? Lower is better.

    A representation free of batch effects stays at `chance`.

    Parameters
    ----------
    meta : DataFrame
        One row per well: ``plate well batch compound``. Only DMSO wells are used.
    feats : (wells, D) float array
    """
    feats = checked(meta, feats, ["plate", "well", "batch", "compound"])
    one_row_per_well(meta)
    dmso = is_control(meta)
    meta, feats = meta[dmso], feats[dmso]
    plate, week = _code(meta["plate"]), _code(meta["batch"])
    return _retrieve(
        "batch predictability",
        "strict",
        meta,
        feats,
        np.arange(len(meta)),
        admissible=lambda q: plate[q, None] != plate,
        right=lambda q: week[q, None] == week,
        must_be_answerable=True,
    )


def control_retrieval(meta, feats):
    """Among all wells of other weeks, is a positive control's nearest well the same treatment? Higher is better.

    Parameters
    ----------
    meta : DataFrame
        One row per well: ``plate well batch compound concentration_um role``.
    feats : (wells, D) float array
    """
    feats = checked(meta, feats, ["plate", "well", "batch", "compound", "concentration_um", "role"])
    one_row_per_well(meta)
    week, treatment = _code(meta["batch"]), _treatment_code(meta)
    queries = np.flatnonzero((meta["role"] == "positive_control").to_numpy(dtype=bool))
    return _retrieve(
        "control retrieval",
        "strict",
        meta,
        feats,
        queries,
        admissible=lambda q: week[q, None] != week,
        right=lambda q: treatment[q, None] == treatment,
        must_be_answerable=True,
    )


def confusion(score):
    """Square table of counts: the query's MoA by row, its neighbour's by column."""
    pairs = score.neighbours
    kinds = sorted(set(pairs["moa"]) | set(pairs["neighbour_moa"]))
    return pd.crosstab(pairs["moa"], pairs["neighbour_moa"]).reindex(index=kinds, columns=kinds, fill_value=0)


def _moa_score(name, meta, feats, protocol, other_batch):
    if protocol not in ("strict", "published"):
        raise ValueError(f"protocol is {protocol!r}; expected 'strict' or 'published'")
    feats = checked(meta, feats, ["compound", "concentration_um", "moa", *(["batch"] if other_batch else [])])
    scored = is_treatment(meta)
    if not scored.any():
        raise ValueError("no row is a treatment: expected annotated compounds beside DMSO (columns moa, role)")
    meta, feats = meta[scored], feats[scored]
    left_out = {}
    if other_batch:
        weeks = _week_membership(meta["batch"], protocol)
        shared = pd.DataFrame(weeks).groupby(meta["moa"].to_numpy()).transform("all").any(axis=1).to_numpy()
        left_out = {f"{moa}: all in one week": int(n) for moa, n in meta["moa"][shared].value_counts().items()}
        meta, feats, weeks = meta[~shared], feats[~shared], weeks[~shared].astype(np.float32)
    compound, moa = _code(meta["compound"]), _code(meta["moa"])

    def admissible(q):
        other = compound[q, None] != compound
        return other & (weeks[q] @ weeks.T == 0) if other_batch else other

    score = _retrieve(
        name, protocol, meta, feats, np.arange(len(meta)), admissible, right=lambda q: moa[q, None] == moa
    )
    score.left_out.update(left_out)
    return score


def _retrieve(name, protocol, meta, feats, queries, admissible, right, must_be_answerable=False):
    """Nearest admissible row of every query. `admissible` and `right` map row numbers to (q, n) masks.

    A query without an admissible row, or with `must_be_answerable` without a right one, is left out.
    """
    unit = _unit(feats)
    best, similarity, correct, chance, kept = [], [], [], [], []
    step = max(1, _BLOCK // max(1, len(unit)))
    for q in np.split(queries, range(step, len(queries), step)):
        open_to, fits = admissible(q), right(q)
        answers = (open_to & fits).sum(axis=1)
        cosine = np.where(open_to, unit[q] @ unit.T, -np.inf)
        nearest = cosine.argmax(axis=1) if len(unit) else np.zeros(0, dtype=int)
        asked = open_to.any(axis=1) & ((answers > 0) | (not must_be_answerable))
        row = np.arange(len(q))
        best.append(nearest[asked])
        similarity.append(cosine[row, nearest][asked])
        correct.append(fits[row, nearest][asked])
        chance.append(answers[asked] / open_to.sum(axis=1)[asked])
        kept.append(q[asked])
    kept, best = np.concatenate(kept), np.concatenate(best)
    shown = meta[[column for column in _SHOWN if column in meta]]
    pairs = pd.concat(
        [
            shown.iloc[kept].reset_index(drop=True),
            shown.iloc[best].reset_index(drop=True).add_prefix("neighbour_"),
        ],
        axis=1,
    )
    pairs["similarity"], pairs["correct"] = np.concatenate(similarity), np.concatenate(correct)
    left_out = {"no admissible neighbour": len(queries) - len(kept)} if len(kept) < len(queries) else {}
    if not len(kept):
        log.warning("%s: none of %d queries has an admissible neighbour", name, len(queries))
    expected = float(np.concatenate(chance).mean()) if len(kept) else float("nan")
    return Score(name, protocol, pairs, expected, left_out)


def _unit(feats):
    feats = np.asarray(feats, dtype=float)
    length = np.linalg.norm(feats, axis=1, keepdims=True)
    if (empty := length[:, 0] == 0).any():
        raise ValueError(
            f"{empty.sum()} profiles are all zeros (the first is row {np.flatnonzero(empty)[0]}); "
            "a cosine needs a direction: check the features, or the rows they were standardised on"
        )
    return feats / length


def _code(column):
    return pd.factorize(column)[0]


def _treatment_code(meta):
    return _code(pd.MultiIndex.from_arrays([meta["compound"], round_concentration(meta["concentration_um"])]))


def _week_membership(batch, protocol):
    """(n, weeks) bool: which weeks hold a row. "published": one column per joined string of weeks."""
    sets = [(weeks,) if isinstance(weeks, str) else tuple(weeks) for weeks in batch]
    if protocol == "published":
        sets = [("_".join(sorted(weeks)),) for weeks in sets]
    row = np.repeat(np.arange(len(sets)), [len(weeks) for weeks in sets])
    code, names = pd.factorize(np.array([week for weeks in sets for week in weeks], dtype=object))
    member = np.zeros((len(sets), len(names)), dtype=bool)
    member[row, code] = True
    return member
