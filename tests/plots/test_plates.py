"""Plate maps and weeks: every well where it stands, in the colour and with the letters of its mechanism."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from figures import screen as figures

from cellclr_lib import plots
from cellclr_lib.plots import plates, style

COLUMNS = ["plate", "well", "batch", "compound", "concentration_um", "moa", "role"]


@pytest.fixture
def wells():
    rows = [
        ("Week1_1", "B02", "Week1", "DMSO", 0.0, "DMSO", "control"),
        ("Week1_1", "B11", "Week1", "taxol", 0.3, "Microtubule stabilizers", "positive_control"),
        ("Week1_1", "C03", "Week1", "AZ-C", 0.003, "Eg5 inhibitors", "treatment"),
        ("Week1_1", "C04", "Week1", "AZ-C", 1.0, "Eg5 inhibitors", "treatment"),
        ("Week1_2", "C03", "Week1", "AZ-C", 0.003, "Eg5 inhibitors", "treatment"),
        ("Week10_1", "H12", "Week10", "AZ138", 3.0, "Eg5 inhibitors", "treatment"),
        ("Week10_1", "D05", "Week10", "unheard", 2.0, "", "unannotated"),
        ("Week2_1", "D05", "Week2", "brandnew", 2.0, "Novel mechanism", "treatment"),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def colour_of(trace, row, column):
    """What Plotly paints for z on the trace's stepped colour scale."""
    z = np.asarray(trace.z, float)[row, column]
    if np.isnan(z):
        return None
    share = (z - trace.zmin) / (trace.zmax - trace.zmin)
    return next(colour for edge, colour in reversed(trace.colorscale) if edge <= share)


def seen(figure, visible=None):
    """Visible traces: the map of one plate, and the names in the legend."""
    visible = [trace.visible for trace in figure.data] if visible is None else visible
    shown = [trace for trace, on in zip(figure.data, visible, strict=True) if on]
    (plate,) = [trace for trace in shown if isinstance(trace, go.Heatmap) and trace.name]
    return plate, [trace.name for trace in shown if isinstance(trace, go.Scatter)]


def test_wells_stand_in_their_place_with_colour_letters_and_dose(wells):
    plate, legend = seen(plots.moa_plate_map(wells))
    assert plate.name == "Week1_1"
    text = np.asarray(plate.text)
    assert text.shape == (8, 12)
    assert [text[1, 1], text[1, 10], text[2, 2], text[2, 3]] == ["−", "+<br>0.3", "Eg5<br>0.003", "Eg5<br>1"]
    assert (text != "").sum() == np.isfinite(np.asarray(plate.z, float)).sum() == 4
    assert colour_of(plate, 1, 1) == style.MOA_COLOURS["DMSO"]
    assert colour_of(plate, 1, 10) == style.MOA_COLOURS["Microtubule stabilizers"]
    assert colour_of(plate, 2, 2) == colour_of(plate, 2, 3) == style.MOA_COLOURS["Eg5 inhibitors"]
    assert legend == ["−  DMSO", "+  positive control, taxol 0.3 µM", "Eg5  Eg5 inhibitors"]
    about = np.asarray(plate.customdata)
    assert about[2, 2] == "C03: AZ-C, 0.003 µM<br>Eg5 inhibitors<br>Week1_1"
    assert about[1, 1] == "B02: DMSO<br>negative control<br>Week1_1"
    assert about[1, 10] == "B11: taxol, 0.3 µM<br>positive control (Microtubule stabilizers)<br>Week1_1"


def test_menu_shows_one_plate_and_only_its_legend(wells):
    figure = plots.moa_plate_map(wells)
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["Week1_1", "Week1_2", "Week10_1", "Week2_1"]
    for button in buttons:
        assert seen(figure, button.args[0]["visible"])[0].name == button.label
    assert seen(figure, buttons[2].args[0]["visible"])[1] == ["Eg5  Eg5 inhibitors", "?  no known mechanism"]
    assert seen(figure, buttons[3].args[0]["visible"])[1] == ["Nove  Novel mechanism"]


def test_plates_are_offered_in_the_order_asked_for(wells):
    before = wells.copy()
    figure = plots.moa_plate_map(wells, plates=["Week2_1", "Week1_1"])
    assert seen(figure)[0].name == "Week2_1"
    assert [button.label for button in figure.layout.updatemenus[0].buttons] == ["Week2_1", "Week1_1"]
    pd.testing.assert_frame_equal(wells, before)
    with pytest.raises(ValueError, match="no plate 'Week9_9': there are Week1_1"):
        plots.moa_plate_map(wells, plates=["Week9_9"])


def test_larger_plates_are_drawn_as_such_and_odd_wells_are_refused(wells):
    one = wells.iloc[[2]]
    plate, _ = seen(plots.moa_plate_map(one.assign(well="P24")))
    assert np.asarray(plate.z).shape == (16, 24) and np.isfinite(np.asarray(plate.z, float)[15, 23])
    for odd in ("3C", "C", "Q01", "C123"):
        with pytest.raises(ValueError, match=f"'{odd}'"):
            plots.moa_plate_map(one.assign(well=odd))
    for outside in ("A25", "A00"):
        with pytest.raises(ValueError, match="fit on no plate"):
            plots.moa_plate_map(one.assign(well=outside))


def test_compounds_by_week_counts_treatments_not_wells(wells):
    (trace,) = figures.compounds_by_week(wells).data
    assert list(trace.x) == ["Week1", "Week2", "Week10"]
    assert list(trace.y) == ["AZ-C (Eg5)", "AZ138 (Eg5)", "brandnew (Nove)"]
    np.testing.assert_array_equal(trace.text, [["2", "", ""], ["", "", "1"], ["", "1", ""]])
    assert trace.customdata[0][0] == "AZ-C, Week1<br>Eg5 inhibitors<br>2 doses (0.003, 1 µM), 3 wells"
    assert colour_of(trace, 0, 0) == colour_of(trace, 1, 2) == style.MOA_COLOURS["Eg5 inhibitors"]
    assert colour_of(trace, 0, 1) is None


def test_mechanisms_are_told_apart_by_letters_alone():
    codes = [plots.moa_code(moa) for moa in style.MOA_COLOURS]
    assert len(set(codes)) == len(codes) == len(plates.MOA_CODES)
    assert max(map(len, codes)) <= 4
    assert plates.POSITIVE not in codes and plots.moa_code("") == "?"
