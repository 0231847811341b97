"""Was it more than luck? Seeds, interaction and cost of a sweep (explained in chapter 8, tuning)."""

import numpy as np
import plotly.graph_objects as go

from cellclr_lib.plots import _trials
from cellclr_lib.plots._trials import MEASURES, SYMBOLS
from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare


def sweep_interaction(results, value="retrieval"):
    """Show a score against batch size: a line of means per temperature, a point per trial.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Columns `temperature batch_size retrieval`, and those of week_accuracy, nsc, nscb, error that are known.
        Batch sizes stand on a logarithmic axis.
    value : str
        The measure shown first; a menu offers the others.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If no finished trial has `value`.
    """
    trials = _trials.finished(results)
    offered = _trials.offered(trials, ("retrieval", "week_accuracy", "nsc", "nscb"), value)
    sizes = np.sort(trials["batch_size"].unique())
    figure, of = go.Figure(), []
    for temperature, group, aside, points in _by_temperature(trials):
        for column in offered:
            scores = MEASURES[column][1] * group[column]
            means = scores.groupby(group["batch_size"]).mean().reindex(sizes)
            shared = {"name": f"{temperature:g}", "legendgroup": f"{temperature:g}", "visible": column == value}
            figure.add_scatter(
                x=sizes * aside,
                y=means,
                mode="lines+text",
                text=[""] * (len(sizes) - 1) + [f"  {temperature:g}"],
                textposition="middle right",
                textfont={"color": points["marker"]["color"]},
                line={"color": points["marker"]["color"], "width": 2.5},
                customdata=sizes,
                hovertemplate="batch size %{customdata}: mean %{y:.2f}<extra>temperature %{fullData.name}</extra>",
                **shared,
            )
            figure.add_scatter(y=scores, showlegend=False, **points, **shared)
            of += [column, column]
    buttons = [
        (_trials.title(c), "update", [{"visible": [c == o for o in of]}, {"yaxis.title.text": _trials.title(c)}])
        for c in offered
    ]
    bare(figure, height=460, hovermode="closest", legend={"title": {"text": "temperature"}, "y": -0.2})
    _trials.add_menu(figure, buttons, offered.index(value))
    _batch_size_axis(figure, sizes)
    return figure.update_yaxes(title=_trials.title(value))


def sweep_cost(results):
    """Seconds of every trial by batch size, colour by temperature.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Columns `temperature batch_size retrieval seconds`, and `cells_seen`, `error` where known.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If no finished trial has its seconds.
    """
    trials = _trials.finished(results)
    _trials.offered(trials, ["seconds"], "seconds")
    figure = go.Figure()
    for temperature, group, _, points in _by_temperature(trials):
        figure.add_scatter(y=group["seconds"], name=f"{temperature:g}", **points)
    bare(figure, height=400, hovermode="closest", legend={"title": {"text": "temperature"}, "y": -0.25})
    _batch_size_axis(figure, np.sort(trials["batch_size"].unique()))
    return figure.update_yaxes(title="seconds of a trial", rangemode="tozero")


def _by_temperature(trials):
    """Per temperature: it, its trials, a factor that moves them aside on a logarithmic axis, and their look."""
    settings = _trials.settings_of(trials)
    colours, marks = _trials.looks(trials)
    middle = (trials["temperature"].nunique() - 1) / 2
    for i, (temperature, group) in enumerate(trials.groupby("temperature")):
        group = group.sort_values("batch_size")  # the legend shows the first marker
        aside = 1.05 ** (i - middle)  # side by side, so that no point hides another
        yield (
            temperature,
            group,
            aside,
            {
                "x": group["batch_size"] * aside,
                "mode": "markers",
                "marker": {
                    "color": colours[temperature],
                    "symbol": [SYMBOLS[marks[size]] for size in group["batch_size"]],
                    "size": 8,
                },
                "hovertext": [
                    _trials.about(trial, settings)
                    + (f"<br>{trial['seconds']:.0f} s" if "seconds" in trial else "")
                    for _, trial in group.iterrows()
                ],
                "hoverinfo": "text",
            },
        )


def _batch_size_axis(figure, sizes):
    low, high = np.log10(sizes[0]), np.log10(sizes[-1])
    room = 0.18 * (high - low) or 0.3
    figure.update_xaxes(
        title="batch size (log)",
        type="log",
        tickvals=sizes,
        ticktext=[f"{size:g}" for size in sizes],
        range=[low - room, high + room],
    )


def best_of_many(single, best):
    """Show how far a score lies from the truth: of one trial, and of the trial that looked best among many.

    Parameters
    ----------
    single, best : array-like (draws,)
        Errors in points: score minus true value.

    Returns
    -------
    plotly.graph_objects.Figure
        Two histograms on common bins, with their means.
    """
    single, best = np.asarray(single, float), np.asarray(best, float)
    edges = np.histogram_bin_edges(np.concatenate([single, best]), bins=50)
    figure = go.Figure()
    for name, errors, colour in (("one trial", single, NEUTRAL), ("the best of all trials", best, ACCENTS[1])):
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * np.histogram(errors, edges)[0] / len(errors),
            width=np.diff(edges),
            name=name,
            marker={"color": colour, "opacity": 0.65, "line": {"width": 0}},
            hovertemplate="%{x:+.1f} points: %{y:.1f} % of draws<extra>%{fullData.name}</extra>",
        )
        figure.add_vline(
            x=errors.mean(),
            line={"color": colour, "width": 2, "dash": "dash"},
            annotation={"text": f"mean {errors.mean():+.1f}", "yanchor": "bottom", "y": 1, "xanchor": "center"},
        )
    bare(figure, height=360, barmode="overlay", legend={"y": -0.25})
    ends = np.quantile(single, 0.001), np.quantile(best, 0.999)
    # Without any luck all errors are zero, and an axis needs some width.
    figure.update_xaxes(title="score minus truth, points", range=ends if ends[0] < ends[1] else [-1, 1])
    return figure.update_yaxes(title="share of draws, %")
