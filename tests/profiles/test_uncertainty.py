"""Intervals and null: against loops, and where the answer is known."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import (
    Score,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    bootstrap_interval,
    drop_interval,
    nsc,
    nscb,
    permutation_null,
)


def score_of(correct_by_compound):
    rows = [(c, right) for c, rights in correct_by_compound.items() for right in rights]
    return Score("NSC", "strict", pd.DataFrame(rows, columns=["compound", "correct"]), float("nan"), {})


def test_interval_equals_a_bootstrap_by_loop():
    score = score_of({f"c{i}": [True] * (i % 4) + [False] * (i % 3 + 1) for i in range(20)})
    generator = np.random.default_rng(5)
    groups = [g["correct"].to_numpy() for _, g in score.neighbours.groupby("compound")]
    loop = [np.concatenate([groups[i] for i in generator.integers(0, 20, 20)]).mean() for _ in range(4000)]
    np.testing.assert_allclose(bootstrap_interval(score), np.quantile(loop, [0.025, 0.975]), atol=0.015)
    low, high = bootstrap_interval(score, level=0.5)
    assert bootstrap_interval(score)[0] < low < score.accuracy < high < bootstrap_interval(score)[1]
    assert bootstrap_interval(score) == bootstrap_interval(score, seed=0) != bootstrap_interval(score, seed=1)


def test_treatments_of_a_compound_fall_together():
    apart = bootstrap_interval(score_of({f"c{i}": [i % 2 == 0] for i in range(40)}))
    together = bootstrap_interval(score_of({f"c{i}": [i % 2 == 0] * 10 for i in range(4)}))
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_certain_scores_have_no_width():
    assert bootstrap_interval(score_of({"a": [True], "b": [True, True]})) == (1.0, 1.0)


def test_without_queries_all_is_nan(cells):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    score = nscb(meta.assign(batch="Week1"), feats)
    assert np.isnan(bootstrap_interval(score)).all() and np.isnan(drop_interval(score, score)).all()
    assert np.isnan(permutation_null(meta.assign(batch="Week1"), feats, nscb, draws=3)).all()
    assert np.isnan(drop_interval(nsc(meta, feats), score)).all()


def test_drop_interval_is_paired():
    """Equal scores drop by nothing in every draw, however uncertain each of them is."""
    score = score_of({f"c{i}": [i % 2 == 0] for i in range(10)})
    assert drop_interval(score, score) == (0.0, 0.0)


def test_null_shuffles_compounds_and_keeps_the_queries(cells):
    profiles = aggregate_treatments(*aggregate_wells(*cells))
    score = nsc(*profiles)
    null = permutation_null(*profiles, draws=200, seed=3)
    moa = profiles[0].drop_duplicates("compound").set_index("compound")["moa"]
    generator = np.random.default_rng(0)
    loop = []
    for _ in range(2000):
        shuffled = dict(zip(moa.index, generator.permutation(moa.to_numpy(dtype=object)), strict=True))
        loop.append(
            np.mean(
                [
                    shuffled[a] == shuffled[b]
                    for a, b in score.neighbours[["compound", "neighbour_compound"]].itertuples(index=False)
                ]
            )
        )
    assert null.shape == (200,) and null.mean() == pytest.approx(np.mean(loop), abs=0.03)
    np.testing.assert_array_equal(null, permutation_null(*profiles, draws=200, seed=3))
    assert not np.array_equal(null, permutation_null(*profiles, draws=200, seed=4))


def test_null_refuses_a_compound_with_two_mechanisms(cells):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    meta.loc[0, "moa"] = "another"
    with pytest.raises(ValueError, match="different mechanisms at different doses"):
        permutation_null(meta, feats)


@pytest.mark.real
def test_chance_on_the_real_profiles(ljosa):
    meta, feats = ljosa(True)
    profiles = aggregate_treatments(meta, ZScore("all").fit_transform(meta, feats))
    assert permutation_null(*profiles).mean() == pytest.approx(0.062, abs=0.005)
    assert permutation_null(*profiles, metric=nscb).mean() == pytest.approx(0.063, abs=0.006)
    low, high = bootstrap_interval(nsc(*profiles))
    assert low < 0.874 < high and 0.08 < high - low < 0.22
