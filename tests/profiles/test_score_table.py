"""The reported table says the same as its parts."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib.profiles import (
    TVN,
    Whitener,
    ZScore,
    aggregate_treatments,
    aggregate_wells,
    nsc,
    nscb,
    tabulate_scores,
)
from cellclr_lib.profiles.postprocessing import POSTS, postprocess


@pytest.fixture(scope="module")
def cells():
    """Six compounds of three mechanisms over two weeks, ten cells a well, and DMSO."""
    rng = np.random.default_rng(0)
    rows, feats = [], []
    for week in ("Week1", "Week2"):
        for plate in ("a", "b"):
            contents = [("DMSO", "DMSO", "control", rng.normal(size=8) * 0) for _ in range(4)]
            for kind in range(3):
                centre = np.eye(8)[kind] * 4
                contents.append((f"drug{kind}{week}", f"moa{kind}", "treatment", centre))
            for i, (compound, moa, role, centre) in enumerate(contents):
                for _ in range(10):
                    rows.append(
                        (
                            f"{week}_{plate}",
                            f"B{i:02d}",
                            week,
                            compound,
                            0.0 if role == "control" else 1.0,
                            moa,
                            role,
                        )
                    )
                    feats.append(centre + rng.normal(size=8))
    columns = "plate well batch compound concentration_um moa role".split()
    return pd.DataFrame(rows, columns=columns), np.array(feats, np.float32)


def test_one_row_per_post_processing(cells):
    table = tabulate_scores(*cells, draws=100, null_draws=5)
    assert table["post"].tolist() == list(POSTS)
    assert (table["nsc_total"] == 6).all() and (table["nscb_total"] == 6).all()
    for name in ("nsc", "nscb", "drop"):
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()
    np.testing.assert_allclose(table["nsc"], table["nsc_correct"] / table["nsc_total"])
    np.testing.assert_allclose(table["drop"], table["nsc"] - table["nscb"])


@pytest.mark.parametrize(
    ("post", "steps"),
    [
        ("none", []),
        ("z_score", [ZScore("all")]),
        ("whitening", [ZScore("all"), Whitener()]),
        ("tvn", [ZScore("all"), TVN()]),
    ],
)
def test_rows_equal_the_steps_done_by_hand(cells, post, steps):
    meta, feats = aggregate_wells(*cells)
    for step in steps:
        feats = step.fit(meta, feats).transform(meta, feats)
    pair = aggregate_treatments(meta, feats)
    row = tabulate_scores(*cells, posts=[post], draws=100, null_draws=5).iloc[0]
    assert row["nsc_correct"] == nsc(*pair).correct and row["nscb_correct"] == nscb(*pair).correct


def test_cells_and_wells_give_the_same(cells):
    pd.testing.assert_frame_equal(
        tabulate_scores(*cells, draws=50, null_draws=2),
        tabulate_scores(*aggregate_wells(*cells), draws=50, null_draws=2),
        atol=1e-6,
    )


def test_a_week_without_dmso_costs_only_what_needs_it(cells, caplog):
    meta, feats = cells
    kept = ((meta["batch"] != "Week2") | (meta["compound"] != "DMSO")).to_numpy()
    table = tabulate_scores(meta[kept], feats[kept], draws=20, null_draws=2).set_index("post")
    assert table.loc["tvn"].isna().all() and table.drop(index="tvn").notna().all(axis=None)
    assert "Week2" in table.attrs["not_scored"]["tvn"] and "tvn is not scored" in caplog.text
    with pytest.raises(ValueError, match="Week2"):
        tabulate_scores(meta[kept], feats[kept], posts=["tvn"])


def test_unknown_post_processing(cells):
    with pytest.raises(ValueError, match="whitening"):
        postprocess(*aggregate_wells(*cells), "magic")
