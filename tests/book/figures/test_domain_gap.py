"""Figures of the gaps between simulated and real crops: the marks are where the numbers are."""

import numpy as np
import pandas as pd
import pytest
from figures import domain_gap as figures


@pytest.fixture
def measured():
    return pd.DataFrame({
        "quantity": ["intensity", "spectrum", "spectrum", "spectrum", "spectrum"],
        "channel": ["dna", "dna", "dna", "actin", "actin"],
        "at": [0.5, 0.1, 0.5, 0.1, 0.5],
        "real": [100.0, 8.0, 0.2, 4.0, 0.1],
        "simulated": [110.0, 16.0, 0.1, 4.0, 0.3],
        "again": [120.0, 16.0, 0.1, 2.0, 0.3],
    })  # fmt: skip


def test_lines_hold_the_ratio_at_each_size(measured):
    before = measured.copy()
    figure = figures.spectrum_ratio(measured)
    assert [trace.name for trace in figure.data] == ["DNA", "DNA, two draws", "actin", "actin, two draws"]
    assert [trace.showlegend for trace in figure.data] == [True, False] * 2
    np.testing.assert_allclose([trace.x for trace in figure.data], [[10, 2]] * 4)
    np.testing.assert_allclose([trace.y for trace in figure.data], [[2, 0.5], [1, 1], [1, 3], [2, 1]])
    pd.testing.assert_frame_equal(measured, before)


def test_a_table_without_spectra_is_refused(measured):
    with pytest.raises(ValueError, match="spectrum"):
        figures.spectrum_ratio(measured[:1])


def test_a_mark_per_family_beside_that_of_two_draws():
    told = pd.DataFrame({
        "kind": ["all", "shape", "texture", "texture"], "channel": ["all", "dna", "dna", "actin"],
        "auc": [0.99, 0.7, 0.9, 0.8], "auc_again": [0.6, 0.5, 0.52, 0.49],
    })  # fmt: skip
    figure = figures.told_by_family(told)
    filled, hollow = figure.data[::2], figure.data[1::2]
    assert [list(trace.x) for trace in filled] == [[0.99], [0.7, 0.9], [0.8]]
    assert [list(trace.x) for trace in hollow] == [[0.6], [0.5, 0.52], [0.49]]
    assert [np.rint(trace.y).tolist() for trace in filled] == [[0], [1, 2], [2]]
    assert all(trace.marker.symbol.endswith("-open") for trace in hollow)
    assert list(figure.layout.yaxis.ticktext) == ["all", "shape", "texture"]
    assert [trace.showlegend for trace in figure.data] == [True, False] * 3
