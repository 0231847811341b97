"""Training on real crops: criteria against slow references, a whole tiny run on made-up crops, the real table."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.data.simulation import SimulationConfig, plate_map
from cellclr_lib.profiles import aggregate_treatments, aggregate_wells, nsc, nscb

SCORES = ["nsc", "nscb", "retrieval", "probe"]


@pytest.fixture
def real(repository, monkeypatch):
    from experiments import real_crops

    return real_crops


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise in the form of the real sample: a crop of every treated well and some of the controls."""
    folder = tmp_path_factory.mktemp("crops")
    table = plate_map.wells(SimulationConfig(taxol_wells=6))
    some = table["well"].isin(["B02", "C02"]) | (table["role"] == "positive_control") & (table["replicate"] == 1)
    table = table[(table["role"] == "treatment") | some]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4096, (len(table), 3, 24, 24), dtype=np.uint16)
    np.savez(folder / "crops.npz", images=images)
    names = {"batch": "week", "concentration_um": "concentration"}
    table.drop(columns="week").rename(columns=names).to_csv(folder / "crops.csv", index=False)
    return folder


@pytest.fixture
def data(real, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCLR_CACHE", str(tmp_path))
    return real.RealCrops(folder)


def test_taxol_control_wells_are_trained_on_and_not_scored(data):
    assert len(data.meta) == data.scored.sum() < len(data.table)
    left_out = data.table[~data.scored]
    assert len(left_out) and (left_out["compound"] == "taxol").all()


@pytest.mark.parametrize("intensity", ["linear", "square root", "log"])
def test_eight_bits_between_percentiles_of_the_plate(real, data, intensity):
    out = data.eight_bit(intensity)
    assert out.dtype == np.uint8
    plate = (data.table["plate"] == data.table["plate"].iloc[-1]).to_numpy()
    for channel in range(3):
        counts, found = data.counts[plate, channel].astype(float), out[plate, channel].astype(int)
        low, high = np.percentile(real.INTENSITY[intensity](counts), (real.LOW_PERCENTILE, real.HIGH_PERCENTILE))
        for count, value in zip(counts.flat, found.flat, strict=True):
            share = (float(real.INTENSITY[intensity](count)) - low) / (high - low)
            assert abs(255 * min(max(share, 0), 1) - value) <= 0.51


def slow_compound_precision(meta, feats, asked=None):
    """Well by well, rank by rank."""
    found = []
    for i, query in meta.iterrows():
        if asked is not None and not asked[i]:
            continue
        others = [
            (feats[i] @ feats[j] / np.linalg.norm(feats[i]) / np.linalg.norm(feats[j]), other["compound"])
            for j, other in meta.iterrows()
            if other["role"] == query["role"] == "treatment"
            and other["batch"] == query["batch"]
            and other["plate"] != query["plate"]
        ]
        right = [compound == query["compound"] for _, compound in sorted(others, key=lambda pair: -pair[0])]
        if any(right) and not all(right):
            ranks = [rank for rank, hit in enumerate(right, 1) if hit]
            found.append(np.mean([(place + 1) / rank for place, rank in enumerate(ranks)]))
    return np.mean(found)


def test_compound_precision_equals_a_slow_reference(real, data):
    meta, _ = aggregate_wells(data.meta, np.ones((len(data.meta), 2)))
    rng = np.random.default_rng(0)
    feats = rng.normal(size=(len(meta), 5))
    assert real.compound_precision(meta, feats) == pytest.approx(slow_compound_precision(meta, feats))
    for held_out in (0, 1):
        asked = real.half(meta) == held_out
        expected = slow_compound_precision(meta, feats, asked)
        assert real.compound_precision(meta, feats, asked) == pytest.approx(expected)
    own = pd.get_dummies(meta["compound"]).to_numpy(dtype=float)
    assert real.compound_precision(meta, own + 1e-3) == 1.0
    named = meta.assign(moa=rng.permutation(meta["moa"]))  # knows no mechanism
    assert real.compound_precision(named, feats) == real.compound_precision(meta, feats)


def test_halves_split_compounds_and_spare_controls(real, data):
    part = pd.Series(real.half(data.table))
    treated = data.table["role"] == "treatment"
    assert (part[~treated] == -1).all() and set(part[treated]) == {0, 1}
    assert (part[treated].groupby(data.table["compound"][treated]).nunique() == 1).all()
    sizes = data.table[treated].groupby(part[treated])["compound"].nunique()
    assert abs(sizes[0] - sizes[1]) <= 1


def test_a_half_that_is_held_out_is_not_trained_on(real, data, monkeypatch):
    class TrainedError(Exception):
        pass

    def spy(store, config):
        raise TrainedError(store)

    monkeypatch.setattr(real, "train", spy)
    for held_out in (0, 1):
        with pytest.raises(TrainedError) as stopped:
            data.simclr(real.CHOSEN, held_out)
        table = stopped.value.args[0].table
        out = real.half(data.table) == held_out
        assert len(table) == (~out).sum() and (table["role"] == "positive_control").any()
        seen = set(table.loc[table["role"] == "treatment", "compound"])
        assert seen and not seen & set(data.table.loc[out, "compound"])


def test_whitening_on_both_controls_scores_the_same_wells(real, data):
    feats = np.random.default_rng(0).normal(size=(len(data.table), 4))
    expected, _ = real.postprocessed(data.table, feats, "none")
    meta, found = real.postprocessed(data.table, feats, real.BOTH_CONTROLS)
    pd.testing.assert_frame_equal(meta, expected)
    pd.testing.assert_frame_equal(meta, aggregate_wells(data.meta, feats[data.scored])[0])
    # Positive controls take part: without what they vary in, the result is another one.
    still = np.where(data.scored[:, None], feats, feats[data.scored].mean(axis=0))
    _, other = real.postprocessed(data.table, still, real.BOTH_CONTROLS)
    assert not np.allclose(found @ found.T, other @ other.T)


def test_every_variant_of_the_study_changes_one_thing(real):
    variants = real.variants()
    assert variants.pop("all: reference") == real.REFERENCE
    for name, recipe in variants.items():
        own, chosen = ({**vars(one)} for one in (recipe, real.REFERENCE))
        own_training, training = vars(own.pop("training")), vars(chosen.pop("training"))
        own_views, views = vars(own_training["views"]), vars(training["views"])
        changed = {name for name in own if own[name] != chosen[name]}
        changed |= {name for name in training if name != "views" and own_training[name] != training[name]}
        views_changed = {name for name in views if own_views[name] != views[name]}
        # What a change of the views consists of is tested with the ablation on simulated cells.
        assert len(changed) + bool(views_changed) == 1, name


def test_orientations_are_averaged(real, data):
    import torch

    from cellclr_lib.learning import build_encoder, embed_images

    torch.manual_seed(0)
    encoder, images = build_encoder(), data.eight_bit("linear")[:4]
    recipe = replace(real.CHOSEN, training=replace(real.CHOSEN.training, input_px=None))
    turned = []
    for image in (images, np.flip(images, 3)):
        for _ in range(4):
            turned.append(embed_images(np.ascontiguousarray(image), encoder))
            image = np.rot90(image, axes=(2, 3))
    np.testing.assert_allclose(
        real.embedded(encoder, images, recipe), np.mean(turned, axis=0), rtol=1e-2, atol=1e-2
    )
    upright = real.embedded(encoder, images, replace(recipe, turned=False))
    np.testing.assert_array_equal(upright, turned[0])


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(real, data, tmp_path, monkeypatch):
    tiny = replace(real.CHOSEN, training=replace(real.CHOSEN.training, epochs=1, input_px=None, batch_size=64))
    monkeypatch.setattr(real, "CHOSEN", tiny)
    out = tmp_path / "scores.csv"
    first = real.report(data, out, seeds=(0,), posts=("none", "tvn"), recipe=tiny)
    assert not first.duplicated(["method", "positives", "post", "seed"]).any()
    assert set(first.groupby("method")["positives"].unique().loc["SimCLR"]) == {"none", "well", "treatment"}
    assert set(first.groupby("method")["positives"].unique().loc["SupCon"]) == {"well", "treatment"}
    assert first[SCORES].stack().between(0, 100).all()
    # The score of a row is that of the library.
    feats = data.baseline("handcrafted", 0)[data.scored]
    table, profiles = aggregate_treatments(*aggregate_wells(data.meta, feats))
    raw = first[(first["method"] == "handcrafted") & (first["post"] == "none")].iloc[0]
    assert raw["nsc"] == pytest.approx(100 * nsc(table, profiles).accuracy, abs=0.01)
    assert raw["nscb"] == pytest.approx(100 * nscb(table, profiles).accuracy, abs=0.01)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:-2]))  # the last method is lost
    pd.testing.assert_frame_equal(real.report(data, out, seeds=(0,), posts=("none", "tvn"), recipe=tiny), first)
    assert "SupCon" in real.summary(first) and "[" not in real.summary(first)  # one seed has no interval


@pytest.mark.slow
def test_what_chooses_knows_no_mechanism(real, data, tmp_path):
    tiny = replace(real.CHOSEN, training=replace(real.CHOSEN.training, epochs=1, input_px=None, batch_size=64))
    table = real.study(data, tmp_path / "study.csv", seeds=(0,), recipes={"tiny": tiny})
    assert list(table.columns) == ["variant", "post", "seed", *real.STUDIED]
    compounds = data.meta["compound"].unique()
    others = np.random.default_rng(1).permutation(data.meta.groupby("compound")["moa"].first()[compounds])
    data.table["moa"] = data.table["compound"].map(dict(zip(compounds, others, strict=True)))
    shuffled = real.study(data, tmp_path / "shuffled.csv", seeds=(0,), recipes={"tiny": tiny})
    assert (shuffled["compound_precision"] == table["compound_precision"]).all()
    assert (shuffled["nsc"] != table["nsc"]).any()


@pytest.mark.slow
def test_pairs_are_judged_on_compounds_not_trained_on(real, data, tmp_path):
    tiny = replace(real.CHOSEN, training=replace(real.CHOSEN.training, epochs=1, input_px=None, batch_size=64))
    out = tmp_path / "positives.csv"
    table = real.study_positives(data, out, seeds=(0,), recipes={"tiny": tiny})
    assert list(table["held_out"]) == [0] * 5 + [1] * 5 and (table["compound_precision"] > 0).all()
    seeded = replace(tiny, training=replace(tiny.training, seed=0))
    meta, feats = aggregate_wells(data.meta, data.simclr(seeded, 1)[data.scored])
    expected = 100 * slow_compound_precision(meta, feats, real.half(meta) == 1)
    assert table["compound_precision"].iloc[5] == pytest.approx(expected, abs=0.01)
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:6]))  # the second half is lost
    pd.testing.assert_frame_equal(real.study_positives(data, out, seeds=(0,), recipes={"tiny": tiny}), table)


def test_missing_crops(real, tmp_path, capsys):
    with pytest.raises(SystemExit):
        real.main(["--data", str(tmp_path)])
    assert "lacks crops.npz and crops.csv" in capsys.readouterr().err


@pytest.mark.real
def test_real_crops_are_what_the_table_says(real, real_bbbc021, monkeypatch, tmp_path):
    monkeypatch.setenv("CELLCLR_CACHE", str(tmp_path))
    data = real.RealCrops(real_bbbc021)
    assert len(data.table) == 1996 and data.scored.sum() == 1294
    table, profiles = aggregate_treatments(*aggregate_wells(data.meta, np.ones((len(data.meta), 2))))
    assert (nsc(table, profiles).total, nscb(table, profiles).total) == (103, 92)


def test_committed_scores_are_complete(real, repository):
    table = pd.read_csv(repository / "experiments/results/real_crops.csv")
    assert list(table.columns) == ["method", "positives", "post", "seed", *SCORES]
    assert (
        table[SCORES].stack().between(0, 100).all()
        and not table.duplicated(["method", "positives", "post", "seed"]).any()
    )
    learned = table[table["method"].isin(["SimCLR", "SupCon"])]
    seeds = learned.groupby(["method", "positives", "post"])["seed"].apply(set)
    assert (seeds == set(real.SEEDS)).all()
    assert set(zip(learned["method"], learned["positives"], strict=True)) == set(real.LEARNED)
    others = {"pixel PCA", "handcrafted", "untrained", "SimCLR, all controls"}  # the last of a first round
    assert set(table["method"]) == others | {"SimCLR", "SupCon"}
    assert set(learned["post"]) == set(real.ALL_POSTS)
    # What the README of the project says of them.
    nscb = table[table["post"] == "whitening"].groupby(["method", "positives"])["nscb"].agg(["min", "max"])
    together = nscb.loc[("SupCon", "treatment"), "min"]
    assert together > nscb.loc[("SimCLR", "none"), "max"] and together > nscb.loc[("handcrafted", "none"), "max"]
    assert nscb.loc[("SimCLR", "none"), "min"] > nscb.loc[("untrained", "none"), "max"]
    # Shares of 103 and 92 queries, nothing else.
    for name, total in (("nsc", 103), ("nscb", 92)):
        counts = table[name] / 100 * total
        assert np.allclose(counts, counts.round(), atol=0.01)


def test_provenance(real, repository):
    recipes = {"": real.CHOSEN, "_study": real.REFERENCE, "_positives": real.REFERENCE}
    for name, recipe in recipes.items():
        record = json.loads((repository / f"experiments/results/real_crops{name}.json").read_text())
        assert {"date", "commit", "versions", "command"} <= set(record) and not record["changed"]
        assert record["recipe"]["intensity"] == recipe.intensity and record["recipe"]["turned"] == recipe.turned
        from cellclr_lib.pipeline.provenance import changed_settings

        assert not changed_settings(record["recipe"]["training"], recipe.training), "run it again"
    study = pd.read_csv(repository / "experiments/results/real_crops_study.csv")
    pairs = pd.read_csv(repository / "experiments/results/real_crops_positives.csv")
    assert set(pairs["variant"]) == set(real.positive_variants()) and set(pairs["seed"]) <= set(real.STUDY_SEEDS)
    assert (pairs.groupby(["variant", "post", "seed"])["held_out"].nunique() == 2).all()
    assert set(study["variant"]) <= set(real.variants()) and set(study["seed"]) <= set(real.STUDY_SEEDS)
    assert not set(real.STUDY_SEEDS) & set(real.SEEDS)  # the reported seeds are fresh
