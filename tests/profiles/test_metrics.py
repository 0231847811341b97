"""Scores against row-by-row loops, on made-up corner cases, and on the real profiles, where counts are known."""

import math

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import (
    Whitener,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    confusion,
    control_retrieval,
    drop,
    neighbours,
    nsc,
    nscb,
    replicate_retrieval,
    week_accuracy,
)


def table(rows):
    """(compound, moa, weeks) rows -> treatment table."""
    return pd.DataFrame(
        [(c, 1.0, m, w) for c, m, w in rows], columns=["compound", "concentration_um", "moa", "batch"]
    )


def cosine(a, b):
    return sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))


def by_hand(meta, feats, other_batch, protocol):
    """NSC or NSCB, pair by pair: (correct, total)."""
    rows = [dict(row, x=x) for row, x in zip(meta.to_dict("records"), feats, strict=True)]
    for row in rows:
        weeks = [row["batch"]] if isinstance(row["batch"], str) else sorted(row["batch"])
        row["weeks"] = {"".join(weeks)} if protocol == "published" else set(weeks)
    if other_batch:
        for moa in {row["moa"] for row in rows}:
            if set.intersection(*[row["weeks"] for row in rows if row["moa"] == moa]):
                rows = [row for row in rows if row["moa"] != moa]
    correct = total = 0
    for query in rows:
        open_to = [
            row
            for row in rows
            if row["compound"] != query["compound"] and not (other_batch and row["weeks"] & query["weeks"])
        ]
        if open_to:
            total += 1
            correct += max(open_to, key=lambda row: cosine(row["x"], query["x"]))["moa"] == query["moa"]
    return correct, total


@pytest.mark.parametrize("protocol", ["strict", "published"])
@pytest.mark.parametrize("seed", range(8))
def test_both_scores_equal_the_slow_loop(protocol, seed):
    generator = np.random.default_rng(seed)
    weeks = [
        tuple(sorted(generator.choice(["Week1", "Week2", "Week10"], generator.integers(1, 3), replace=False)))
        for _ in range(30)
    ]
    meta = table([(f"c{i // 2}", f"M{i // 2 % 4}", week) for i, week in enumerate(weeks)])
    feats = generator.normal(size=(30, 5)) + 0.8 * np.eye(5)[meta["moa"].str[1:].astype(int)]
    for metric, other_batch in [(nsc, False), (nscb, True)]:
        score = metric(meta, feats, protocol=protocol)
        assert (score.correct, score.total) == by_hand(meta, feats, other_batch, protocol)
        assert score.accuracy == score.correct / score.total and score.protocol == protocol


@pytest.mark.real
@pytest.mark.parametrize("protocol", ["strict", "published"])
def test_real_profiles_give_the_reference_counts(ljosa, protocol):
    raw, clean = ljosa(False), ljosa(True)
    z = clean[0], ZScore("all").fit_transform(*clean)
    for (meta, feats), expected in [
        (raw, (47, 30)),
        (z, (90, 64)),
        ((z[0], Whitener().fit_transform(*z)), (97, 68)),
        ((clean[0], ZScore("controls", by="plate").fit_transform(*clean)), (80, 63)),
    ]:
        profiles = aggregate_treatments(meta, feats)
        first, second = nsc(*profiles, protocol=protocol), nscb(*profiles, protocol=protocol)
        assert (first.correct, second.correct) == expected
        assert (first.total, second.total) == (103, 92) and first.left_out == {}
        assert second.left_out == {
            f"{moa}: all in one week": n for moa, n in [("Cholesterol-lowering", 6), ("Kinase inhibitors", 5)]
        }
        if expected == (90, 64):
            assert (first.correct, first.total) == by_hand(*profiles, False, protocol)
            assert (second.correct, second.total) == by_hand(*profiles, True, protocol)


def test_neighbours_say_who_was_found():
    meta = table([("a", "M", ("Week1",)), ("b", "M", ("Week2",)), ("c", "N", ("Week1",)), ("d", "N", ("Week3",))])
    feats = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 1.0]])
    score = nscb(meta, feats)
    assert list(score.neighbours) == [
        "compound",
        "concentration_um",
        "moa",
        "batch",
        "neighbour_compound",
        "neighbour_concentration_um",
        "neighbour_moa",
        "neighbour_batch",
        "similarity",
        "correct",
    ]
    assert score.neighbours["neighbour_compound"].tolist() == ["b", "a", "d", "c"]
    assert score.correct == score.total == 4 and score.accuracy == 1
    assert score.neighbours["similarity"][0] == pytest.approx(cosine(feats[0], feats[1]))
    assert str(score) == "NSCB 4/4 (100.0 %)" and score.by("moa")["total"].tolist() == [2, 2]
    # a and c may take two of the three others (not c, a), one of them right; b and d three, one right
    assert score.chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 3) / 4)


def test_scores_ignore_row_order_and_length_of_rows(cells):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    order = np.random.default_rng(0).permutation(len(meta))
    scaled = feats * np.random.default_rng(1).uniform(0.01, 100, (len(feats), 1))
    for metric in (nsc, nscb):
        score = metric(meta, feats)
        assert metric(meta.iloc[order], scaled[order]).correct == score.correct
        assert metric(meta, 1e-20 * feats).correct == score.correct
    assert drop(nsc(meta, feats), nscb(meta, feats)) == nsc(meta, feats).accuracy - nscb(meta, feats).accuracy


def test_a_week_as_text_is_a_week_alone(cells):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    text = meta.assign(batch=meta["batch"].str[0])
    for protocol in ("strict", "published"):
        assert (
            nscb(text, feats, protocol=protocol).neighbours["correct"].tolist()
            == nscb(meta, feats, protocol=protocol).neighbours["correct"].tolist()
        )


def test_the_taxol_trap():
    """A treatment seen in all weeks may be anyone's neighbour where joined strings are compared, else nobody's."""
    meta = table(
        [
            ("taxol", "S", ("Week1", "Week2", "Week3")),
            ("epothilone", "S", ("Week2",)),
            ("docetaxel", "S", ("Week3",)),
            ("x", "N", ("Week1",)),
            ("y", "N", ("Week2",)),
        ]
    )
    feats = np.array([[1.0, 0, 0], [1, 0.1, 0], [0.2, 1, 0], [0, 1, 0.3], [0, 0.2, 1]])
    published, strict = nscb(meta, feats, protocol="published"), nscb(meta, feats)
    assert published.neighbours.set_index("compound")["neighbour_compound"]["epothilone"] == "taxol"
    assert strict.neighbours.set_index("compound")["neighbour_compound"]["epothilone"] == "docetaxel"
    assert published.total == 5 and strict.left_out == {"no admissible neighbour": 1}  # taxol shares all weeks


def test_a_mechanism_with_a_week_common_to_all_leaves_as_query_and_reference():
    meta = table(
        [
            ("a", "M", ("Week1", "Week2")),
            ("b", "M", ("Week2", "Week3")),
            ("c", "N", ("Week1",)),
            ("d", "N", ("Week3",)),
        ]
    )
    strict, published = nscb(meta, np.eye(4) + 1), nscb(meta, np.eye(4) + 1, protocol="published")
    assert strict.left_out == {"M: all in one week": 2} and strict.correct == strict.total == 2
    assert published.left_out == {} and published.total == 4


def test_controls_and_unannotated_rows_are_neither_query_nor_reference(cells):
    meta, feats = aggregate_wells(*cells)
    scored = (meta["role"] == "treatment").to_numpy()
    assert nsc(meta, feats).neighbours.equals(nsc(meta[scored], feats[scored]).neighbours)


def test_of_equal_neighbours_the_first_counts():
    meta = table([("a", "M", "Week1"), ("b", "N", "Week2"), ("c", "M", "Week3")])
    assert nsc(meta, np.ones((3, 2))).neighbours["neighbour_compound"].tolist() == ["b", "a", "a"]


def test_one_week_leaves_no_query(caplog):
    meta = table([("a", "M", "Week1"), ("b", "M", "Week1"), ("c", "N", "Week1"), ("d", "N", "Week1")])
    score = nscb(meta, np.eye(4))
    assert score.total == 0 and math.isnan(score.accuracy) and math.isnan(score.chance)
    assert sum(score.left_out.values()) == 4 and "NSCB" in caplog.text
    assert nsc(meta, np.eye(4)).total == 4


def test_a_query_without_admissible_neighbour_is_left_out():
    meta = table([("a", "M", "Week1"), ("b", "M", "Week2"), ("everywhere", "M", ("Week1", "Week2"))])
    score = nscb(meta, np.random.default_rng(0).normal(size=(3, 3)))
    assert score.left_out == {"no admissible neighbour": 1} and score.neighbours["compound"].tolist() == ["a", "b"]


def test_blocks_give_the_same_as_one_matrix(cells, monkeypatch):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    whole = nscb(meta, feats).neighbours
    monkeypatch.setattr(neighbours, "_BLOCK", 3 * len(meta))
    pd.testing.assert_frame_equal(nscb(meta, feats).neighbours, whole)


def test_replicate_retrieval_equals_the_slow_loop(cells):
    meta, feats = aggregate_wells(*cells)
    score = replicate_retrieval(meta, feats)
    rows = [
        r for r in zip(meta.to_dict("records"), feats, strict=True) if r[0]["role"] in ("treatment", "unannotated")
    ]
    correct = 0
    for query, x in rows:
        others = [r for r in rows if r[0]["batch"] == query["batch"] and r[0]["plate"] != query["plate"]]
        best = max(others, key=lambda r: cosine(r[1], x))[0]
        correct += (best["compound"], best["concentration_um"]) == (query["compound"], query["concentration_um"])
    assert (score.correct, score.total) == (correct, len(rows))
    assert score.by("batch")["total"].sum() == len(rows)


def test_replicate_retrieval_cannot_profit_from_the_week(cells):
    meta, feats = aggregate_wells(*cells)
    shifted = np.hstack([feats, 100 * pd.get_dummies(meta["batch"]).to_numpy()])
    assert replicate_retrieval(meta, shifted).total == replicate_retrieval(meta, feats).total
    assert replicate_retrieval(meta, shifted).accuracy <= replicate_retrieval(meta, feats).accuracy
    assert week_accuracy(meta, shifted).accuracy == 1 > week_accuracy(meta, feats).accuracy


def test_replicate_retrieval_leaves_out_what_has_no_replicate():
    meta = pd.DataFrame(
        {
            "plate": ["p", "q", "q"],
            "well": ["B02"] * 2 + ["B03"],
            "batch": ["Week1"] * 3,
            "compound": ["a", "a", "b"],
            "concentration_um": [1.0] * 3,
        }
    )
    score = replicate_retrieval(meta, np.eye(3))
    assert score.total == 2 and score.left_out == {"no admissible neighbour": 1}


def test_batch_predictability_is_chance_for_noise_and_one_for_a_week_effect():
    meta = pd.DataFrame(
        [(f"Week{w}_{p}", f"B{i:02d}", f"Week{w}", "DMSO") for w in range(4) for p in range(3) for i in range(10)],
        columns=["plate", "well", "batch", "compound"],
    )
    noise = np.random.default_rng(0).normal(size=(120, 20))
    score = week_accuracy(meta, noise)
    assert score.chance == pytest.approx(20 / 110) and abs(score.accuracy - score.chance) < 0.12
    assert week_accuracy(meta, noise + 20 * np.eye(20)[meta["batch"].str[4:].astype(int)]).accuracy == 1


def test_controls_find_each_other_unless_the_week_comes_first(cells):
    meta, feats = aggregate_wells(*cells)
    role = meta["role"].to_numpy()
    signal = np.random.default_rng(0).normal(size=feats.shape)
    signal[role == "positive_control"] += [50, 0, 0, 0, 0, 0]
    score = control_retrieval(meta, signal)
    assert score.accuracy == 1 and score.total == (role == "positive_control").sum()
    assert (score.neighbours["batch"] != score.neighbours["neighbour_batch"]).all()
    assert math.isnan(control_retrieval(meta.assign(role="treatment"), signal).accuracy)


def test_confusion_counts_pairs(cells):
    score = nsc(*aggregate_treatments(*aggregate_wells(*cells)))
    counts = confusion(score)
    assert counts.to_numpy().sum() == score.total and np.trace(counts) == score.correct
    assert list(counts.index) == list(counts.columns)


def test_refusals(cells):
    meta, feats = aggregate_treatments(*aggregate_wells(*cells))
    with pytest.raises(ValueError, match="expected 'strict' or 'published'"):
        nsc(meta, feats, protocol="loose")
    with pytest.raises(ValueError, match="1 profiles are all zeros"):
        nsc(meta, feats * (np.arange(len(feats)) != 3)[:, None])
    with pytest.raises(ValueError, match="lacks the column\\(s\\) batch"):
        nscb(meta.drop(columns="batch"), feats)
    with pytest.raises(ValueError, match="average the cells"):
        replicate_retrieval(*cells)
    with pytest.raises(ValueError, match="no row is a treatment"):
        nsc(meta.assign(moa=""), feats)
