"""Show ablations: trainings that differ in one thing each, and their scores (chapters 3 and 9)."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots.scores import POST_NAMES
from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare

# What `ablation` offers: label of the menu, title of the axis, and the colour of its points.
METRICS = {
    "retrieval": ("replicate retrieval ↑", "wells next to a replicate, %", ACCENTS[2]),
    "nscb": ("NSCB ↑", "treatments answered right, %", ACCENTS[1]),
    "nsc": ("NSC ↑", "treatments answered right, %", ACCENTS[0]),
    "probe": ("logistic probe ↑", "balanced accuracy, %", ACCENTS[3]),
    "week_accuracy": ("week accuracy ↓", "DMSO wells next to their week, %", ACCENTS[3]),
}


def ablation(
    results: pd.DataFrame, *, post: str = "z_score", reference: str = "all: default", by: str = "views"
) -> go.Figure:
    """Show scores of trainings that differ in one thing: a row per variant, a point per seed, a tick for the mean.

    One menu chooses the score, another the post-processing. A dashed line marks the mean of the reference; for NSC
    and NSCB a grey bar is the mean of the 95 % intervals over compounds.

    Parameters
    ----------
    results : DataFrame, one row per run and post-processing
        Columns `by` ("group: name", rows of the figure in order of appearance), `seed`, `post`, some of
        `METRICS`, and perhaps `_low` and `_high` of nsc and nscb, all as fractions.
    post : str
        Post-processing that is shown first.
    reference : str
        Row that the others are compared with.
    by : str
        Column that names the variants.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If `post` or `reference` is not in the table.
    """
    results = results.rename(columns={by: "variant"})
    names, posts = (list(dict.fromkeys(results[column])) for column in ("variant", "post"))
    metrics = {metric: about for metric, about in METRICS.items() if metric in results}
    for value, known in ((post, posts), (reference, names)):
        if value not in known:
            raise ValueError(f"{value!r} is not in the table; it holds {', '.join(known)}")
    place = _rows_by_group(names)
    ends = [min(place.values()) - 0.6, max(place.values()) + 0.6]
    runs = results.drop_duplicates(["variant", "seed"])
    y = {
        "mean of the reference": ends,
        "95 % interval": np.repeat([place[name] for name in names], 3).astype(float),
        "a seed": runs["variant"].map(place),
        "mean of the seeds": [place[name] for name in names],
    }
    text = {
        "a seed": [f"{name}, seed {seed}" for name, seed in zip(runs["variant"], runs["seed"], strict=True)],
        "mean of the seeds": [f"{name}, mean" for name in names],
    }
    first = next(iter(metrics))
    figure, owner = go.Figure(), []  # what the two menus switch
    x_of: dict[str, list[list[float | None]]] = {name: [] for name in posts}
    for metric, (_, _, colour) in metrics.items():
        values = {name: _values(results, metric, name, reference) for name in posts}
        for trace, x in values[post].items():
            look = _look(trace, colour)
            figure.add_scatter(x=x, y=y[trace], name=trace, text=text.get(trace), visible=metric == first, **look)
            owner.append(metric)
            for name in posts:
                x_of[name].append(values[name][trace])
    plot_px = 26 * (ends[1] - ends[0])
    bare(
        figure, height=int(240 + plot_px), margin={"l": 10, "r": 10, "t": 95, "b": 10}, legend={"y": -60 / plot_px}
    )
    labels = [name.removeprefix("all: ") for name in names]
    figure.update_yaxes(tickvals=list(place.values()), ticktext=labels, zeroline=False, range=ends)
    figure.update_xaxes(title=metrics[first][1], zeroline=False)
    metric_menu = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": [own == metric for own in owner]}, {"xaxis.title.text": axis}],
        }
        for metric, (label, axis, _) in metrics.items()
    ]
    post_menu = [
        {"label": POST_NAMES.get(name, name), "method": "restyle", "args": [{"x": x}]} for name, x in x_of.items()
    ]
    place_of_menu = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "bordercolor": NEUTRAL}
    return figure.update_layout(
        updatemenus=[
            {"buttons": metric_menu, "pad": {"b": 48}, **place_of_menu},
            {"buttons": post_menu, "active": posts.index(post), "pad": {"b": 8}, **place_of_menu},
        ]
    )


def _look(trace: str, colour: str) -> dict[str, Any]:
    """Choose lines without hover for what is read by eye, marks with hover for the runs and their mean."""
    lines = {
        "mean of the reference": {"dash": "dash", "color": NEUTRAL, "width": 1.5},
        "95 % interval": {"color": "rgba(128,128,128,0.3)", "width": 6},
    }
    if trace in lines:
        return {"mode": "lines", "line": lines[trace], "hoverinfo": "skip"}
    markers: dict[str, dict[str, Any]] = {
        "a seed": {"size": 8, "opacity": 0.6},
        "mean of the seeds": {"size": 15, "symbol": "line-ns-open", "line": {"width": 3}},
    }
    hover = "%{text}: %{x:.1f} %<extra></extra>"
    return {"mode": "markers", "marker": {"color": colour, **markers[trace]}, "hovertemplate": hover}


def _rows_by_group(names: list[str]) -> dict[str, float]:
    """Place every row by its name: the first at the top, and half a row more between groups."""
    place, y, before = {}, 0.0, None
    for name in names:
        group = name.split(": ")[0]
        y -= 1.0 if before in (None, group) else 1.5
        place[name], before = y, group
    return place


def _values(results: pd.DataFrame, metric: str, post: str, reference: str) -> dict[str, Any]:
    """Collect what each trace of a metric draws along x under one post-processing, in per cent."""
    runs = results.drop_duplicates(["variant", "seed"])[["variant", "seed"]]
    rows = runs.merge(results[results["post"] == post], on=["variant", "seed"], how="left")
    mean = rows.groupby("variant", sort=False).mean(numeric_only=True)
    values: dict[str, Any] = {"mean of the reference": [mean.loc[reference, metric]] * 2}
    if f"{metric}_low" in rows:
        low, high = mean[f"{metric}_low"], mean[f"{metric}_high"]
        values["95 % interval"] = np.stack([low, high, np.full(len(mean), np.nan)], axis=1).ravel()
    values |= {"a seed": rows[metric], "mean of the seeds": mean[metric]}
    # Plain lists, since a menu hands them to the page as they are; None breaks a line.
    return {
        name: [None if np.isnan(value) else round(100 * float(value), 2) for value in x]
        for name, x in values.items()
    }
