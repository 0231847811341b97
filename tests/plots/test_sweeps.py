"""Figures of a sweep: they draw the numbers of the trials, failures stay visible, axes tell the truth."""

import numpy as np
import pandas as pd
import pytest

from cellclr_lib import plots
from cellclr_lib.plots import _trials

SETTINGS = [(t, b, s) for t in (0.1, 0.5) for b in (64, 256) for s in (0, 1)]


@pytest.fixture
def results():
    """Eight trials; retrieval 0.50, 0.51, … in the order of `SETTINGS`, shuffled as a ranking would."""
    table = pd.DataFrame(SETTINGS, columns=["temperature", "batch_size", "seed"])
    table["retrieval"] = 0.5 + 0.01 * np.arange(8)
    table["week_accuracy"] = 0.4 - 0.01 * np.arange(8)
    table["nsc"], table["nscb"] = 0.8, 0.6 + 0.02 * np.arange(8)
    table["loss"], table["top1"] = table["temperature"] + table["batch_size"] / 100, 0.3 + 0.05 * np.arange(8)
    table["epoch"], table["cells_seen"], table["seconds"] = 2, 2000, 10.0
    table["checkpoint_path"], table["error"] = "x", ""
    return table.sample(frac=1, random_state=0)


@pytest.fixture
def history():
    epochs = [
        {"epoch": e, "loss": 5 - e, "top1": 0.1 * e, "lr": 1e-3 / e, "cells_seen": 1000 * e, "seconds": 5.0 * e,
         "retrieval": 0.5 + 0.01 * i + 0.001 * e, "week_accuracy": 0.3,
         "temperature": t, "batch_size": b, "seed": s}
        for i, (t, b, s) in enumerate(SETTINGS) for e in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(epochs)


def maps_of(figure):
    return {trace.name: trace for trace in figure.data if trace.type == "heatmap"}


def lines_of(figure):
    return [trace for trace in figure.data if trace.mode == "lines+markers"]


def fail(results, temperature, batch_size, seed=None):
    """The same results where the trials of a setting ended with an error and without a score."""
    chosen = (results["temperature"] == temperature) & (results["batch_size"] == batch_size)
    if seed is not None:
        chosen &= results["seed"] == seed
    scores = ["retrieval", "week_accuracy", "nsc", "nscb", "loss", "top1"]
    return results.assign(
        error=np.where(chosen, "OutOfMemoryError", ""), **{c: results[c].mask(chosen) for c in scores}
    )


def test_heatmap_shows_mean_and_spread_of_the_seeds(results):
    before = results.copy()
    figure = plots.sweep_heatmap(results)
    shown = maps_of(figure)["retrieval"]
    assert (list(shown.x), list(shown.y)) == (["0.1", "0.5"], ["64", "256"])
    np.testing.assert_allclose(shown.z, [[50.5, 54.5], [52.5, 56.5]])  # rows: batch size
    assert shown.text[1][0] == "<b>52.5</b><br>52.0 to 53.0"
    assert "2 trials, from 52.00 to 53.00 %" in shown.hovertext[1][0]
    assert (shown.zmin, shown.zmax) == pytest.approx((50, 57))  # of single trials, not of means
    pd.testing.assert_frame_equal(results, before)


def test_heatmap_menu_offers_every_score_and_bright_is_better(results):
    figure = plots.sweep_heatmap(results, value="nscb")
    menu = figure.layout.updatemenus[0]
    assert [button.label.split(",")[0] for button in menu.buttons] == [
        "replicate retrieval",
        "week accuracy",
        "NSC",
        "NSCB",
    ]
    assert menu.active == 3
    assert [name for name, trace in maps_of(figure).items() if trace.visible] == ["nscb"]
    for button, name in zip(menu.buttons, maps_of(figure), strict=True):
        on = [t.name for t, visible in zip(figure.data, button.args[0]["visible"], strict=True) if visible]
        assert set(on) == {name}
    assert maps_of(figure)["week_accuracy"].reversescale and not maps_of(figure)["nscb"].reversescale
    without = plots.sweep_heatmap(results.assign(nsc=np.nan).drop(columns="nscb"))
    assert list(maps_of(without)) == ["retrieval", "week_accuracy"]


@pytest.mark.parametrize("error", ["", np.nan, None])
def test_heatmap_leaves_failures_out_and_says_so(results, error):
    broken = fail(fail(results, 0.5, 256), 0.1, 64)
    broken = broken[~((broken["temperature"] == 0.1) & (broken["batch_size"] == 64))]  # never tried
    broken["error"] = broken["error"].replace("", error).astype(object)
    broken = pd.concat([broken, fail(results, 0.5, 64, seed=1).query("temperature == 0.5 and batch_size == 64")])
    broken = broken.drop_duplicates(["temperature", "batch_size", "seed"], keep="last")
    figure = plots.sweep_heatmap(broken)
    shown = maps_of(figure)["retrieval"]
    np.testing.assert_allclose(shown.z, [[np.nan, 54], [52.5, np.nan]])
    assert shown.text[0][1] == "<b>54.0</b><br>one trial" and "1 failed" in shown.hovertext[0][1]
    words = figure.data[1]
    assert set(zip(words.x, words.y, words.text, strict=True)) == {
        ("0.1", "64", "no trial"),
        ("0.5", "256", "failed"),
    }
    assert tuple(figure.layout.xaxis.range) == (-0.5, 1.5)


def test_heatmap_bins_what_random_search_gives():
    rng = np.random.default_rng(0)
    drawn = pd.DataFrame({"temperature": rng.uniform(0.05, 1, 40), "batch_size": 64, "retrieval": 0.5})
    shown = maps_of(plots.sweep_heatmap(drawn))["retrieval"]
    assert len(shown.x) == 5 and shown.x[0].startswith("0.0")
    assert all("8 trials" in hover for hover in shown.hovertext[0])


def test_parallel_places_every_trial_on_every_axis(results):
    figure = plots.sweep_parallel(results)
    lines = lines_of(figure)
    assert len(lines) == 8
    worst, best = lines[0], lines[-1]  # the best lies on top
    assert best.name == "temperature 0.5, batch size 256, seed 1"
    np.testing.assert_allclose([best.y[i] for i in (0, 1, 2, 4, 5, 6)], [1, 1, 1, 1, 0, 1], atol=1e-12)
    np.testing.assert_allclose([worst.y[i] for i in (0, 1, 2, 4, 5, 6)], [0, 0, 0, 0, 1, 0], atol=1e-12)
    assert best.line.color == _trials.SCALE[-1][1] and worst.line.color == _trials.SCALE[0][1]
    assert "replicate retrieval 57 %" in best.hovertext
    names = [note.text for note in figure.layout.annotations if note.yanchor == "bottom"]
    assert names == ["temperature", "batch size", "seed", "loss", "top-1", "week ↓", "retrieval ↑"]


def test_parallel_ticks_stand_at_their_values(results):
    three = pd.concat([results, results.assign(temperature=0.2)])
    figure = plots.sweep_parallel(three)
    ticks = {(n.x, n.text): n.y for n in figure.layout.annotations if n.xanchor == "right"}
    place = np.log(0.2 / 0.1) / np.log(0.5 / 0.1)
    assert ticks[0, "0.2"] == pytest.approx(place)
    line = next(line for line in lines_of(figure) if line.name.startswith("temperature 0.2"))
    assert line.y[0] == pytest.approx(place)
    assert [n.x for n in figure.layout.annotations if n.text == "<i>log</i>"] == [0, 1]
    # Round percentages of retrieval: linear between the worst and the best trial.
    assert ticks[6, "52 %"] == pytest.approx((52 - 50) / (57 - 50))


def test_parallel_takes_further_parameters_and_gaps(results):
    more = results.assign(weight_decay=np.tile([0, 1e-5], 4), lr=np.geomspace(1e-4, 1e-1, 8), encoder="small")
    more["constant"] = 3
    more.loc[0, "loss"] = np.nan
    figure = plots.sweep_parallel(more)
    names = [note.text for note in figure.layout.annotations if note.yanchor == "bottom"]
    assert names[:5] == ["temperature", "batch size", "seed", "weight decay", "lr"] and "constant" not in names
    logarithmic = [n.x for n in figure.layout.annotations if n.text == "<i>log</i>"]
    assert logarithmic == [0, 1, 4]  # not the weight decay, which holds a zero
    assert sum(np.isnan(line.y[names.index("loss")]) for line in lines_of(figure)) == 1


def test_parallel_menu_brings_trials_to_the_front(results):
    figure = plots.sweep_parallel(fail(results, 0.1, 64, seed=0))
    assert len(lines_of(figure)) == 7
    buttons = {
        b.label.removeprefix("show: "): b.args for b in plots.sweep_parallel(results).layout.updatemenus[0].buttons
    }
    best, traces = buttons["the best quarter"]
    assert list(traces) == list(range(8)) and list(best["opacity"]) == [0.07] * 6 + [1] * 2
    lines = lines_of(plots.sweep_parallel(results))
    front = [line.name for line, on in zip(lines, buttons["batch size 256"][0]["opacity"], strict=True) if on == 1]
    assert len(front) == 4 and all("batch size 256" in name for name in front)


def test_curves_draw_every_trial_with_the_look_of_its_setting(history):
    figure = plots.sweep_curves(history)
    lines = lines_of(figure)
    assert len(lines) == 8 and sum(line.showlegend for line in lines) == 4
    np.testing.assert_allclose(lines[0].x, [1000, 2000])
    np.testing.assert_allclose(lines[0].y, [50.1, 50.2])
    assert lines[0].text[1] == "seed 0, epoch 2"
    by_name = {line.name: line for line in lines}
    assert by_name["0.1, 64"].line.color == by_name["0.1, 256"].line.color != by_name["0.5, 64"].line.color
    assert by_name["0.1, 64"].line.dash == by_name["0.5, 64"].line.dash != by_name["0.1, 256"].line.dash
    assert by_name["0.1, 64"].marker.symbol != by_name["0.1, 256"].marker.symbol


def test_curves_menu_carries_the_data_of_the_other_measures(history):
    figure = plots.sweep_curves(history, column="loss")
    buttons = figure.layout.updatemenus[0].buttons
    assert [b.args[1]["yaxis.title.text"] for b in buttons] == [
        "replicate retrieval, % ↑",
        "top-1, %",
        "week accuracy, % ↓",
        "NT-Xent loss",
    ]
    assert figure.layout.updatemenus[0].active == 3 and figure.layout.yaxis.title.text == "NT-Xent loss"
    np.testing.assert_allclose(buttons[3].args[0]["y"], [line.y for line in lines_of(figure)])
    np.testing.assert_allclose(buttons[1].args[0]["y"], [[10, 20]] * 8)


def test_curves_tell_trials_apart_that_share_their_settings(history):
    """Random search over the learning rate: nothing but the epoch that starts again divides the rows."""
    twice = pd.concat([history.query("seed == 0 and temperature == 0.1 and batch_size == 64")] * 2)
    assert len(lines_of(plots.sweep_curves(twice))) == 2


def test_many_settings_get_a_colour_bar_in_place_of_a_legend(results, history):
    temperatures = np.geomspace(0.02, 1, 30)
    drawn = pd.DataFrame(
        {"temperature": temperatures, "batch_size": 64, "retrieval": 0.5, "nscb": np.linspace(0, 1, 30)}
    )
    figure = plots.sweep_agreement(drawn)
    assert figure.layout.showlegend is False
    assert list(figure.data[-1].marker.colorbar.ticktext) == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert plots.sweep_agreement(results).layout.showlegend is None


def test_agreement_draws_both_scores_and_their_rank_correlation(results):
    figure = plots.sweep_agreement(results)
    points = sorted((x, y) for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True))
    np.testing.assert_allclose(points, [(50 + i, 60 + 2 * i) for i in range(8)])
    assert figure.layout.annotations[0].text == "Spearman's ρ = 1.00, 8 trials"
    partly = results.assign(nscb=results["nscb"].where(results["seed"] == 0))
    assert plots.sweep_agreement(partly).layout.annotations[0].text.endswith("4 trials")
    flat = plots.sweep_agreement(results.assign(nscb=0.5))
    assert flat.layout.annotations[0].text == "Spearman's ρ is not defined"


def test_rank_correlation_is_spearman_s():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=30).round(1), rng.normal(size=30).round(1)  # with ties

    def ranks(values):
        return [(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values]

    expected = np.corrcoef(ranks(first), ranks(second))[0, 1]
    assert _trials.spearman(first, second) == pytest.approx(expected)
    assert np.isnan(_trials.spearman([1, 2], [1, 2]))


def test_without_a_finished_trial_the_reason_is_named(results, history):
    nothing = results.assign(error="OutOfMemoryError")
    for draw in (plots.sweep_heatmap, plots.sweep_parallel, plots.sweep_agreement):
        with pytest.raises(ValueError, match="no finished trial"):
            draw(nothing)
    with pytest.raises(ValueError, match="'nscb'; there is retrieval"):
        plots.sweep_heatmap(results.drop(columns="nscb"), value="nscb")
    with pytest.raises(ValueError, match="'retrieval'"):
        plots.sweep_curves(history.drop(columns="retrieval"))


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0.0, 1.0, False, [0, 0.2, 0.4, 1]),
        (31.2, 39.9, False, [32, 34, 36, 38]),
        (0.02, 0.7, True, [0.02, 0.05, 0.1, 0.2, 0.5]),
        (1e-6, 1.0, True, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (0.31, 0.33, True, [0.31, 0.33]),
        (2.0, 2.0, False, [2]),
    ],
)
def test_ticks_are_round_and_within_the_ends(low, high, log, ticks):
    found = _trials.round_ticks(low, high, log)
    assert found.min() >= low and found.max() <= high
    assert set(np.round(ticks, 9)) <= set(np.round(found, 9)) and len(found) <= 7
