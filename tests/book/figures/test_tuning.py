"""Figures that ask whether a sweep is more than luck."""

import numpy as np
import pandas as pd
import pytest
from figures import tuning as figures


@pytest.fixture
def results():
    """Two temperatures × two batch sizes × two seeds; their lines cross."""
    table = pd.DataFrame(
        [(t, b, s) for t in (0.1, 0.5) for b in (64, 256) for s in (0, 1)],
        columns=["temperature", "batch_size", "seed"],
    )
    table["retrieval"] = [0.50, 0.52, 0.60, 0.62, 0.58, 0.60, 0.55, 0.57]
    table["nscb"] = 0.6
    table["cells_seen"], table["seconds"] = 1000, np.arange(10, 18)
    return table.assign(error=np.nan).sample(frac=1, random_state=0)


def test_interaction_draws_means_as_lines_and_trials_as_points(results):
    figure = figures.sweep_interaction(results)
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+text" and trace.visible}
    np.testing.assert_allclose(lines["0.1"].y, [51, 61])
    np.testing.assert_allclose(lines["0.5"].y, [59, 56])
    assert list(lines["0.1"].customdata) == [64, 256]
    points = [t for t in figure.data if t.mode == "markers" and t.visible]
    np.testing.assert_allclose(sorted(np.concatenate([t.y for t in points])), sorted(100 * results["retrieval"]))
    for trace in points:  # a little aside of their batch size
        away = np.asarray(trace.x) / np.array([[64], [256]])
        assert np.all(np.any(np.abs(away - 1) < 0.1, axis=0))
    assert figure.layout.xaxis.type == "log" and list(figure.layout.xaxis.tickvals) == [64, 256]


def test_interaction_menu_shows_one_score_at_a_time(results):
    figure = figures.sweep_interaction(results, "nscb")
    menu = figure.layout.updatemenus[0]
    assert [b.label for b in menu.buttons] == ["replicate retrieval, % ↑", "NSCB, % ↑"] and menu.active == 1
    assert figure.layout.yaxis.title.text == "NSCB, % ↑"
    shown = [np.asarray(t.y) for t, on in zip(figure.data, menu.buttons[0].args[0]["visible"], strict=True) if on]
    assert len(shown) == 4 and all(np.all((y >= 50) & (y <= 62)) for y in shown)
    assert [bool(t.visible) for t in figure.data] == list(menu.buttons[1].args[0]["visible"])


def test_failed_trials_are_in_no_mean(results):
    broken = results.assign(error=np.where((results["temperature"] == 0.1) & (results["seed"] == 1), "lost", ""))
    lines = {t.name: t for t in figures.sweep_interaction(broken).data if t.mode == "lines+text" and t.visible}
    np.testing.assert_allclose(lines["0.1"].y, [50, 60])
    with pytest.raises(ValueError, match="no finished trial"):
        figures.sweep_interaction(results.assign(error="lost"))


def test_cost_draws_every_trial(results):
    figure = figures.sweep_cost(results)
    assert [trace.name for trace in figure.data] == ["0.1", "0.5"]
    assert sorted(np.concatenate([trace.y for trace in figure.data])) == list(range(10, 18))
    assert "10 s" in "".join(figure.data[0].hovertext)
    with pytest.raises(ValueError, match="'seconds'"):
        figures.sweep_cost(results.drop(columns="seconds"))


def test_best_of_many_shows_both_distributions():
    draws = np.random.default_rng(0).normal(0, 2, (2000, 27))
    figure = figures.best_of_many(draws[:, 0], draws.max(axis=1))
    single, best = figure.data
    assert sum(single.y) == pytest.approx(100) and sum(best.y) == pytest.approx(100)
    assert np.average(best.x, weights=best.y) == pytest.approx(draws.max(axis=1).mean(), abs=0.2)
    texts = [note.text for note in figure.layout.annotations]
    assert texts == [f"mean {draws[:, 0].mean():+.1f}", f"mean {draws.max(axis=1).mean():+.1f}"]
