"""Draw parallel coordinates of a sweep from ordinary lines (explained in chapter 8, tuning)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from cellclr_lib.plots import _trials
from cellclr_lib.plots._trials import MANY, MEASURES, SCALE
from cellclr_lib.plots.style import NEUTRAL, bare


def sweep_parallel(results: pd.DataFrame) -> go.Figure:
    """Draw parallel coordinates: a line per trial from its settings to its scores, coloured by retrieval.

    Drawn with ordinary lines, so it needs no WebGL, prints, and follows the page's theme. Temperature, batch size
    and whatever spans more than a factor of thirty have logarithmic axes, marked as such; ticks are true values. A
    menu brings some of the trials to the front.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Column `retrieval`, and those of `temperature batch_size seed loss top1 week_accuracy error` that are
        known; further numeric columns with more than one value become axes of their own.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If no trial finished.
    """
    trials = _trials.finished(results)
    _trials.offered(trials, ["retrieval"], "retrieval")
    trials = trials.sort_values("retrieval", ignore_index=True)  # the best are drawn last, on top
    settings = _trials.settings_of(trials)
    scores = [c for c in ("loss", "top1", "week_accuracy", "retrieval") if c in trials and trials[c].notna().any()]
    columns = settings + scores
    axes = [_trials.axis(name, MEASURES.get(name, ("", 1))[1] * trials[name]) for name in columns]
    colours = sample_colorscale(SCALE, axes[-1]["place"])

    figure = go.Figure()
    for i, heights in enumerate(np.stack([axis["place"] for axis in axes], axis=1)):
        trial = trials.iloc[i]
        figure.add_scatter(
            x=np.arange(len(columns)),
            y=heights,
            mode="lines+markers",
            line={"color": colours[i], "width": 2},
            marker={"color": colours[i], "size": 7},
            name=_trials.setting(trial, settings),
            hovertext=_trials.about(trial, settings),
            hoverinfo="text",
            showlegend=False,
        )
    steps = np.linspace(0, 1, 100)
    figure.add_scatter(  # the last axis is the key to the colours
        x=np.full(len(steps), len(columns) - 1 + 0.08),
        y=steps,
        mode="markers",
        marker={"color": sample_colorscale(SCALE, steps), "symbol": "square", "size": 8},
        hoverinfo="skip",
        showlegend=False,
        name="key",
    )
    for i, (name, axis) in enumerate(zip(columns, axes, strict=True)):
        figure.add_shape(type="line", x0=i, x1=i, y0=0, y1=1, line={"color": NEUTRAL, "width": 1}, layer="below")
        note = {"x": i, "showarrow": False, "font": {"size": 12, "shadow": "auto"}}
        # Names stand on two levels, so that neighbours do not collide on a phone.
        figure.add_annotation(note, text=_short(name), y=1.05 + 0.1 * (i % 2), yanchor="bottom")
        if axis["log"]:
            figure.add_annotation(note, text="<i>log</i>", y=-0.05, yanchor="top")
        for tick, text in zip(axis["ticks"], axis["labels"], strict=True):
            figure.add_annotation(note, text=text, y=tick, xanchor="right", xshift=-6)
    bare(figure, height=460, hovermode="closest")
    _trials.add_menu(
        figure,
        [
            (f"show: {name}", "restyle", [{"opacity": np.where(on, 1, 0.07).tolist()}, list(range(len(trials)))])
            for name, on in _groups(trials, settings)
        ],
    )
    figure.update_xaxes(visible=False, range=[-0.6, len(columns) - 0.6])
    return figure.update_yaxes(visible=False, range=[-0.15, 1.3])


def _short(name: str) -> str:
    """Shorten the name of an axis that stands in a row with others."""
    short = {"loss": "loss", "retrieval": "retrieval ↑", "week_accuracy": "week ↓"}
    return short.get(name) or MEASURES.get(name, [_trials.plain(name)])[0]


def _groups(trials: pd.DataFrame, settings: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """List sets of trials to see alone: name and mask; `trials` are sorted, the best last."""
    yield "all trials", np.ones(len(trials), bool)
    if len(trials) >= 8:
        yield "the best quarter", np.arange(len(trials)) >= 0.75 * len(trials)
    for name in settings:
        found = np.sort(trials[name].dropna().unique())
        if 1 < len(found) <= MANY:
            yield from ((f"{_trials.plain(name)} {value:g}", trials[name] == value) for value in found)
