"""The figure of an ablation: its points are the table's, its menus show what they say."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib import plots
from cellclr_lib.plots.ablations import METRICS


@pytest.fixture
def results():
    """Three variants, two seeds, two post-processings; every number says where it belongs."""
    rows = []
    for i, name in enumerate(("untrained", "all: default", "only: crop")):
        for seed in (0, 1):
            for j, post in enumerate(("none", "tvn")):
                row = {"views": name, "seed": seed, "post": post, "top1": np.nan if i == 0 else 0.5}
                for k, metric in enumerate(METRICS):
                    row[metric] = 0.1 * (i + 1) + 0.01 * seed + 0.3 * j + 0.001 * k
                for metric in ("nsc", "nscb"):
                    row |= {f"{metric}_low": row[metric] - 0.05, f"{metric}_high": row[metric] + 0.05}
                rows.append(row)
    return pd.DataFrame(rows)


def traces_of(figure, metric):
    """Traces that are seen once the menu has chosen `metric`, by name."""
    (button,) = [b for b in figure.layout.updatemenus[0].buttons if b.label == METRICS[metric][0]]
    seen = button.args[0]["visible"]
    return {trace.name: (i, trace) for i, (trace, on) in enumerate(zip(figure.data, seen, strict=True)) if on}


@pytest.mark.parametrize("metric", METRICS)
def test_ablation_draws_seeds_means_and_the_default(results, metric):
    figure = plots.ablation(results, post="none")
    shown = traces_of(figure, metric)
    of_post = results[results["post"] == "none"]
    np.testing.assert_allclose(shown["a seed"][1].x, 100 * of_post[metric])
    mean = 100 * of_post.groupby("views", sort=False)[metric].mean()
    np.testing.assert_allclose(shown["mean of the seeds"][1].x, mean)
    np.testing.assert_allclose(shown["mean of the reference"][1].x, [mean["all: default"]] * 2)
    assert ("95 % interval" in shown) == metric.startswith("nsc")


def test_ablation_draws_one_bar_per_variant(results):
    figure = plots.ablation(results, post="none")
    bar = traces_of(figure, "nscb")["95 % interval"][1]
    ends = np.array(bar.x, float).reshape(-1, 3)
    of_post = results[results["post"] == "none"].groupby("views", sort=False)[["nscb_low", "nscb_high"]].mean()
    np.testing.assert_allclose(ends[:, :2], 100 * of_post, atol=0.01)
    assert np.isnan(ends[:, 2]).all(), "bars are not joined"
    assert list(np.array(bar.y)[::3]) == list(figure.layout.yaxis.tickvals)


def test_second_menu_changes_the_post_processing_of_every_score(results):
    figure = plots.ablation(results, post="none")
    menu = figure.layout.updatemenus[1]
    assert [button.label for button in menu.buttons] == ["raw", "TVN"] and menu.active == 0
    x = menu.buttons[1].args[0]["x"]
    assert len(x) == len(figure.data)
    for metric in METRICS:
        i, _ = traces_of(figure, metric)["a seed"]
        np.testing.assert_allclose(x[i], 100 * results.loc[results["post"] == "tvn", metric])
    assert plots.ablation(results, post="tvn").layout.updatemenus[1].active == 1


def test_ablation_labels_rows_once_and_parts_the_groups(results):
    axis = plots.ablation(results, post="none").layout.yaxis
    assert list(axis.ticktext) == ["untrained", "default", "only: crop"]
    assert (np.diff(axis.tickvals) < 0).all()


def test_ablation_survives_runs_that_are_still_missing(results):
    """A table that grows while trainings run: the last seed of one variant is not there yet."""
    figure = plots.ablation(results.iloc[:-2], post="none")
    assert len(traces_of(figure, "retrieval")["a seed"][1].x) == 5


def test_ablation_says_what_is_not_in_the_table(results):
    with pytest.raises(ValueError, match="whitening"):
        plots.ablation(results, post="whitening")
    with pytest.raises(ValueError, match="only: crop"):
        plots.ablation(results, post="none", reference="default")


def test_ablation_of_other_things_offers_what_the_table_holds(results):
    other = results.rename(columns={"views": "method"}).drop(columns=["week_accuracy", "probe", "nsc_low"])
    figure = plots.ablation(other.drop(columns="nsc_high"), post="none", by="method")
    offered = [button.label for button in figure.layout.updatemenus[0].buttons]
    assert offered == [METRICS[name][0] for name in ("retrieval", "nscb", "nsc")]
    assert list(figure.layout.yaxis.ticktext) == ["untrained", "default", "only: crop"]
