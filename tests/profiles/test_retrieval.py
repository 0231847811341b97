"""The declarative score against loops over sets, for columns of one value and of several."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import nscb, retrieval

COLUMNS = ["plate", "batch", "compound", "dose", "moa"]


def noisy(seed, n=40):
    rng = np.random.default_rng(seed)
    weeks = ["W1", "W2", "W3"]
    meta = pd.DataFrame(
        {
            "plate": rng.choice(list("pqr"), n),
            "batch": [tuple(rng.permutation(weeks)[: rng.integers(1, 3)]) for _ in range(n)],
            "compound": rng.choice(list("abcdef"), n),
            "dose": rng.choice([0.3, 1.0], n) * (1 + 1e-8 * rng.normal(size=n)),  # equal at six digits
            "moa": rng.choice(["M", "N", "O"], n),
        }
    )
    return meta, rng.normal(size=(n, 4))


def slowly(meta, feats, same, different, right, queries, answerable_only, drop_confined):
    """(correct, neighbour) of every query, pair by pair."""

    def agree(column, i, j):
        first, second = (meta[column].iloc[k] for k in (i, j))
        if column == "dose":
            return f"{first:.5e}" == f"{second:.5e}"
        if isinstance(first, tuple):
            return bool(set(first) & set(second))
        return first == second

    kept = list(range(len(meta)))
    if drop_confined:
        kept = []
        for i in range(len(meta)):
            kin = [j for j in range(len(meta)) if all(agree(c, i, j) for c in right)]
            if not set.intersection(*({*meta[drop_confined].iloc[j]} for j in kin)):
                kept.append(i)
    out = {}
    for i in kept:
        if not queries[i]:
            continue
        best, found = -np.inf, None
        answers = 0
        for j in kept:
            if not all(agree(c, i, j) for c in same) or any(agree(c, i, j) for c in different):
                continue
            answers += all(agree(c, i, j) for c in right)
            cosine = feats[i] @ feats[j] / np.linalg.norm(feats[i]) / np.linalg.norm(feats[j])
            if cosine > best:
                best, found = cosine, j
        if found is not None and (answers or not answerable_only):
            out[i] = found, all(agree(c, i, found) for c in right)
    return out


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("same", "different", "right", "answerable_only", "drop_confined"),
    [
        ([], ["compound"], ["moa"], False, None),
        ([], ["compound", "batch"], ["moa"], False, None),
        (["batch"], ["plate"], ["compound", "dose"], True, None),
        ([], ["plate"], ["batch"], True, None),
        (["dose", "plate"], ["compound"], ["moa"], False, None),
        ([], ["compound", "batch"], ["compound", "moa"], False, "batch"),
        ([], ["batch"], ["moa"], True, "batch"),
    ],
)
def test_equals_loops_over_sets(seed, same, different, right, answerable_only, drop_confined):
    meta, feats = noisy(seed)
    if drop_confined:  # one mechanism and some compounds lie in one week
        meta["batch"] = [("W1",) if m == "O" else b for m, b in zip(meta["moa"], meta["batch"], strict=True)]
    queries = np.random.default_rng(seed).random(len(meta)) < 0.7
    options = {"answerable_only": answerable_only, "drop_confined": drop_confined}
    score = retrieval(
        meta.assign(well=range(len(meta))), feats, same=same, different=different, right=right, queries=queries,
        **options,
    )  # fmt: skip
    expected = slowly(meta, feats, same, different, right, queries, **options)
    found = zip(
        score.neighbours["well"], score.neighbours["neighbour_well"], score.neighbours["correct"], strict=True
    )
    assert {i: (j, correct) for i, j, correct in found} == expected
    assert score.total and sum(score.left_out.values()) == queries.sum() - score.total


def test_the_published_name_of_confined_mechanisms():
    meta = pd.DataFrame({"compound": list("abcd"), "concentration_um": 1.0, "moa": ["M", "M", "N", "N"]})
    meta["batch"] = ["W1", "W1", "W1", "W2"]
    assert nscb(meta, np.eye(4)).left_out == {"M: all in one week": 2}


def test_any_table_can_be_asked():
    """Columns that this library does not know, and no option at all."""
    meta = pd.DataFrame({"donor": ["A", "A", "B"], "day": [1, 2, 1]}, index=[7, 7, 9])
    score = retrieval(meta, np.array([[1, 0], [1, 0.2], [1, 0.1]]), different=["day"], right=["donor"])
    assert (score.correct, score.total) == (1, 3)  # the second finds the third first


def test_refusals():
    meta, feats = noisy(0)
    with pytest.raises(ValueError, match=r"lacks the column\(s\) donor"):
        retrieval(meta, feats, right=["donor"])
    with pytest.raises(ValueError, match="mask of 40 rows"):
        retrieval(meta, feats, right=["moa"], queries=np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="all zeros"):
        retrieval(meta, 0 * feats, right=["moa"])
