"""Show which settings of a sweep were better, and how its trials learned (explained in chapter 8, tuning).

Every function takes what `tuning/sweep.py` writes: `results`, one row per trial (results.csv), or `history`, one
row per trial and epoch (history.csv). Shares come as fractions and are drawn in per cent. Trials that failed, with
an `error` or without a score, are left out.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots import _trials
from cellclr_lib.plots._trials import DASHES, MEASURES, SCALE, SYMBOLS
from cellclr_lib.plots.parallel_coordinates import sweep_parallel
from cellclr_lib.plots.style import NEUTRAL, bare

__all__ = ["sweep_agreement", "sweep_curves", "sweep_heatmap", "sweep_parallel"]

LEGEND = {"title": {"text": "temperature, batch size", "side": "top"}, "y": -0.2}


def sweep_heatmap(results: pd.DataFrame, *, value: str = "retrieval") -> go.Figure:
    """Temperature × batch size: the mean over seeds as colour and number, the spread of the seeds below it.

    A menu chooses the measure. The colour scale spans the single trials, not the means, so that differences within
    the spread of the seeds look as small as they are; bright is always better. A setting without a finished trial
    stays empty and says so. Settings with many values, as random search gives them, are put into bins.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Columns `temperature batch_size retrieval`, and those of week_accuracy, nsc, nscb, error that are known.
    value : str
        The measure shown first.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If no finished trial has `value`.
    """
    results = results.reset_index(drop=True)
    fine = _trials.finished(results)
    offered = _trials.offered(fine, ("retrieval", "week_accuracy", "nsc", "nscb"), value)
    (x_names, x_of), (y_names, y_of) = (_trials.levels(results[name]) for name in ("temperature", "batch_size"))
    figure = go.Figure()
    for column in offered:
        scores = MEASURES[column][1] * fine[column].reindex(results.index)
        means = np.full((len(y_names), len(x_names)), np.nan)
        text, hover = np.full(means.shape, "", object), np.full(means.shape, "", object)
        for y, x in np.ndindex(means.shape):
            trials = scores[(y_of == y) & (x_of == x)]
            means[y, x] = trials.mean()
            text[y, x], words = _cell_texts(trials, MEASURES[column][0])
            hover[y, x] = f"temperature {x_names[x]}, batch size {y_names[y]}<br>{words}"
        empty = np.isnan(means)
        shared = {"visible": column == value, "hoverinfo": "text", "name": column}
        figure.add_heatmap(
            z=means,
            x=x_names,
            y=y_names,
            text=np.where(empty, "", text),
            texttemplate="%{text}",
            hovertext=hover,
            hoverongaps=False,
            colorscale=SCALE,
            reversescale="↓" in _trials.title(column),
            zmin=scores.min(),
            zmax=scores.max(),
            xgap=3,
            ygap=3,
            colorbar={"title": {"text": "%"}, "outlinewidth": 0, "thickness": 14},
            **shared,
        )
        figure.add_scatter(
            x=np.array(x_names)[np.nonzero(empty)[1]],
            y=np.array(y_names)[np.nonzero(empty)[0]],
            mode="text",
            text=text[empty],
            hovertext=hover[empty],
            textfont={"color": NEUTRAL},
            showlegend=False,
            **shared,
        )
    bare(figure, height=140 + 75 * max(3, len(y_names)))
    _trials.add_menu(
        figure,
        [
            (_trials.title(chosen), "restyle", [{"visible": [c == chosen for c in offered for _ in range(2)]}])
            for chosen in offered
        ],
        offered.index(value),
    )
    # An empty column is a finding, so the axes do not shrink to what was drawn.
    quiet = {"type": "category", "showgrid": False}
    figure.update_xaxes(title="temperature", categoryarray=x_names, range=[-0.5, len(x_names) - 0.5], **quiet)
    return figure.update_yaxes(
        title="batch size", categoryarray=y_names, range=[-0.5, len(y_names) - 0.5], **quiet
    )


def _cell_texts(scores: pd.Series, name: str) -> tuple[str, str]:
    """Write one cell of the heat map, and its hover text; `scores` in per cent, NaN where failed."""
    known = scores.dropna()
    lost = len(scores) - len(known)
    if known.empty:
        return ("failed", f"{lost} failed") if lost else ("no trial", "no trial")
    failed = f"<br>{lost} failed" if lost else ""
    hover = f"{name}: mean {known.mean():.2f} %"
    if len(known) == 1:
        return f"<b>{known.mean():.1f}</b><br>one trial", f"{hover}<br>one trial: no spread{failed}"
    low, high = known.min(), known.max()
    return (
        f"<b>{known.mean():.1f}</b><br>{low:.1f} to {high:.1f}",
        f"{hover}<br>{len(known)} trials, from {low:.2f} to {high:.2f} %{failed}",
    )


def sweep_curves(history: pd.DataFrame, *, column: str = "retrieval") -> go.Figure:
    """Draw learning curves against cells seen: a line per trial, colour by temperature, dash by batch size.

    A menu chooses the measure; a click in the legend hides a setting with all its seeds.

    Parameters
    ----------
    history : DataFrame, one row per trial and epoch
        Columns `temperature batch_size epoch cells_seen`, those of retrieval, top1, week_accuracy, loss that are
        known, and further settings such as `seed`. The rows of a trial follow one another.
    column : str
        The measure shown first.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If the history does not hold `column`.
    """
    offered = _trials.offered(history, ("retrieval", "top1", "week_accuracy", "loss"), column)
    settings = [c for c in history if c not in {*MEASURES, *_trials.BOOKKEEPING, "lr"}]
    # The learning rate changes within a trial, so it cannot tell trials apart; an epoch that starts again can.
    starts = (history["epoch"].diff() <= 0) | (history[settings] != history[settings].shift()).any(axis=1)
    curves = [curve for _, curve in history.groupby(starts.cumsum(), sort=False)]
    curves.sort(key=lambda curve: tuple(curve[["temperature", "batch_size"]].iloc[0]))
    colours, marks = _trials.looks(history)
    figure, named = go.Figure(), set()
    for curve in curves:
        first = curve.iloc[0]
        mark, name = marks[first["batch_size"]], _legend_name(first)
        seed = _trials.setting(first, [c for c in settings if c not in ("temperature", "batch_size")])
        figure.add_scatter(
            x=curve["cells_seen"],
            y=MEASURES[column][1] * curve[column],
            mode="lines+markers",
            name=name,
            legendgroup=name,
            showlegend=name not in named,
            line={"color": colours[first["temperature"]], "dash": DASHES[mark], "width": 1.5},
            marker={"symbol": SYMBOLS[mark], "size": 6},
            text=[", ".join(filter(None, [seed, f"epoch {epoch:g}"])) for epoch in curve["epoch"]],
            hovertemplate="%{text}: %{y:.3g}<extra>%{fullData.name}</extra>",
        )
        named.add(name)
    bare(figure, height=560, hovermode="closest", legend=LEGEND)
    _key_of_many(figure, colours, len(named))
    buttons = []
    for c in offered:
        heights = [(MEASURES[c][1] * curve[c]).tolist() for curve in curves]
        buttons.append((_trials.title(c), "update", [{"y": heights}, {"yaxis.title.text": _trials.title(c)}]))
    _trials.add_menu(figure, buttons, offered.index(column))
    figure.update_xaxes(title="cells seen", rangemode="tozero")
    return figure.update_yaxes(title=_trials.title(column))


def sweep_agreement(results: pd.DataFrame) -> go.Figure:
    """Show replicate retrieval, which ranks, against NSCB, which is reported: a point per trial, Spearman's ρ.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Columns `temperature batch_size retrieval nscb` and `error`; trials without NSCB are left out.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If no trial has both scores.
    """
    trials = _trials.finished(results)
    _trials.offered(trials, ["nscb"], "nscb")
    trials = trials[trials["nscb"].notna()]
    colours, marks = _trials.looks(trials)
    settings = _trials.settings_of(trials)
    figure = go.Figure()
    for (temperature, batch_size), group in trials.groupby(["temperature", "batch_size"]):
        figure.add_scatter(
            x=100 * group["retrieval"],
            y=100 * group["nscb"],
            mode="markers",
            name=_legend_name(group.iloc[0]),
            marker={
                "color": colours[temperature],
                "symbol": SYMBOLS[marks[batch_size]],
                "size": 10,
                "line": {"width": 0.7, "color": NEUTRAL},
            },
            hovertext=[_trials.about(trial, settings) for _, trial in group.iterrows()],
            hoverinfo="text",
        )
    rho = _trials.spearman(trials["retrieval"], trials["nscb"])
    bare(figure, height=520, hovermode="closest", legend=LEGEND)
    _key_of_many(figure, colours, len(figure.data))
    figure.add_annotation(
        text=f"Spearman's ρ = {rho:.2f}, {len(trials)} trials"
        if np.isfinite(rho)
        else "Spearman's ρ is not defined",
        x=0,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
    )
    figure.update_xaxes(title=_trials.title("retrieval"))
    return figure.update_yaxes(title=_trials.title("nscb"))


def _legend_name(trial: pd.Series) -> str:
    """Name a trial "0.1, 64": the title of the legend says what the numbers are."""
    return f"{trial['temperature']:g}, {trial['batch_size']:g}"


def _key_of_many(figure: go.Figure, colours: dict[float, str], names: int) -> None:
    """Put a colour bar of the temperatures in the place of a legend that nobody would read through."""
    if names <= 20:
        return
    axis = _trials.axis("temperature", list(colours))
    bar = {
        "tickvals": axis["ticks"],
        "ticktext": axis["labels"],
        "title": {"text": "temperature"},
        "thickness": 14,
    }
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"color": [0], "cmin": 0, "cmax": 1, "colorscale": SCALE, "showscale": True, "colorbar": bar},
        name="key",
    )
    figure.update_layout(showlegend=False)
