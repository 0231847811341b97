"""Figures of the real screen: they show the numbers given, and nothing that is not confirmed."""

import numpy as np
import pandas as pd
import pytest
from figures import real_screen as figures


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (40, "40 s"),
        (600, "10 min"),
        (3 * 3600, "3.0 h"),
        (20 * 86400, "20 days"),
        (2.5 * 365 * 86400, "2.5 years"),
    ],
)
def test_durations_are_said_as_people_do(seconds, words):
    assert figures.duration(seconds) == words


def test_bars_end_where_the_time_is():
    times = pd.DataFrame({"stage": ["crop", "train"], "seconds": [600.0, 9e7], "arithmetic": ["a × b", "c × d"]})
    before = times.copy()
    (bar,) = figures.stage_times(times).data
    assert np.allclose(np.array(bar.x) + bar.base, times["seconds"])
    assert list(bar.text) == ["10 min", "2.9 years"]
    assert list(bar.customdata[:, 0]) == ["a × b", "c × d"]
    pd.testing.assert_frame_equal(times, before)


def test_times_below_a_second_are_inside_the_axis():
    figure = figures.stage_times(pd.DataFrame({"stage": ["fast"], "seconds": [0.2], "arithmetic": [""]}))
    low, high = figure.layout.xaxis.range
    assert 10**low < 0.2 < 10**high


def test_a_time_of_zero_is_refused():
    with pytest.raises(ValueError, match="positive"):
        figures.stage_times(pd.DataFrame({"stage": ["x"], "seconds": [0.0], "arithmetic": [""]}))


@pytest.fixture
def draws():
    rows = [("real", "handcrafted", 50, 40), ("real", "untrained", 20, 30)]
    rows += [(str(i), method, 40 + i, 30 + i) for i in range(21) for method in ("handcrafted", "untrained")]
    return pd.DataFrame(rows, columns=["draw", "method", "nsc", "nscb"])


def test_real_score_draws_and_band(draws):
    before = draws.copy()
    figure = figures.real_among_draws(draws, {"nsc": 100, "nscb": 50}, central=0.9)
    dots, diamonds = figure.data[::2], figure.data[1::2]
    assert [list(d.x) for d in diamonds] == [[50.0], [80.0], [20.0], [60.0]]
    assert list(dots[0].x) == list(range(40, 61)) and list(dots[1].x) == [2 * n for n in range(30, 51)]
    assert all(len(set(zip(d.x, d.y, strict=True))) == 21 for d in dots)
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == pytest.approx((41, 59))  # 5th and 95th percentile of 40 ... 60
    assert list(figure.layout.yaxis.ticktext) == [
        "handcrafted, NSC", "handcrafted, NSCB", "untrained encoder,<br>NSC", "untrained encoder,<br>NSCB",
    ]  # fmt: skip
    assert [trace.showlegend for trace in figure.data] == [True, True] + 6 * [False]
    pd.testing.assert_frame_equal(draws, before)


def test_a_sample_without_a_real_score_is_refused(draws):
    with pytest.raises(ValueError, match="0 real scores"):
        figures.real_among_draws(draws[draws["draw"] != "real"], {"nsc": 100})
    with pytest.raises(ValueError, match="0 draws"):
        figures.real_among_draws(draws[draws["draw"] == "real"], {"nsc": 100})


@pytest.fixture
def published():
    return pd.DataFrame({
        "method": ["A", "B", "C"], "year": [2013, 2019, 2021], "supervision": "none", "post": "TVN",
        "nsc": [94.0, 97.1, 96.0], "nsc_status": ["read", "read", "inferred"],
        "nscb": [np.nan, 87.0, 95.0], "nscb_status": ["unconfirmed", "read", "inferred"], "source": "x",
    })  # fmt: skip


@pytest.fixture
def measured():
    return pd.DataFrame({
        "method": ["ours"], "nsc": [70.0], "nsc_low": [60.0], "nsc_high": [75.0],
        "nscb": [65.0], "nscb_low": [50.0], "nscb_high": [80.0],
    })  # fmt: skip


def test_one_panel_per_group_and_hollow_where_inferred(published, measured):
    before = published.copy()
    figure = figures.published_and_measured({"published": published, "nothing": measured[:0], "ours": measured})
    assert [note.text for note in figure.layout.annotations] == ["<b>published</b>", "<b>ours</b>"]
    nsc, nscb, our_nsc, our_nscb = figure.data
    assert (nsc.xaxis, our_nsc.xaxis) == ("x", "x2")
    assert np.array_equal(nsc.x, published["nsc"]) and np.array_equal(nscb.x, published["nscb"], equal_nan=True)
    assert list(nsc.marker.symbol) == ["circle", "circle", "circle-open"]
    assert list(nscb.marker.symbol) == ["diamond", "diamond", "diamond-open"]
    assert nsc.error_x.array is None
    assert list(our_nscb.error_x.array) == [15.0] and list(our_nscb.error_x.arrayminus) == [15.0]
    assert list(figure.layout.yaxis.ticktext) == ["A", "B", "C"]
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range == (0, 101)
    pd.testing.assert_frame_equal(published, before)


def test_an_unconfirmed_number_is_never_drawn(published):
    published.loc[0, "nscb"] = 77
    with pytest.raises(ValueError, match="unconfirmed"):
        figures.published_and_measured({"published": published})


def test_an_unknown_status_is_refused(published):
    published.loc[0, "nsc_status"] = "guessed"
    with pytest.raises(ValueError, match="guessed"):
        figures.published_and_measured({"published": published})


def test_table_says_inferred_and_not_confirmed(published):
    table = figures.published_table(published)
    assert list(table["NSC, %"]) == ["94", "97.1", "96 (inferred)"]
    assert list(table["NSCB, %"]) == ["not confirmed", "87", "95 (inferred)"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("short", "short"),
        ("z-score per plate on DMSO", "z-score per plate<br>on DMSO"),
        ("x" * 40, "x" * 40),
    ],
)
def test_long_names_are_broken_between_words(name, lines):
    assert figures._lines(name) == lines
