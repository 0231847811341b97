"""Show NSC, NSCB and their drop (explained in chapter 6, evaluation)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare

METHOD_NAMES = {
    "pixel_pca": "pixel PCA",
    "handcrafted": "handcrafted",
    "untrained": "untrained encoder",
    "simclr": "SimCLR",
}
METHOD_COLOURS = dict(zip(METHOD_NAMES, (ACCENTS[3], ACCENTS[1], NEUTRAL, ACCENTS[0]), strict=True))
POST_NAMES = {"none": "raw", "z_score": "z-score", "whitening": "whitening", "tvn": "TVN"}
METRICS = {"nsc": "NSC", "nscb": "NSCB", "drop": "drop"}


def row_names(mean: pd.DataFrame) -> list[str]:
    """Name each row, such as "SimCLR, whitening"."""
    return [
        f"{METHOD_NAMES.get(method, method)}, {POST_NAMES.get(post, post)}"
        for method, post in zip(mean["method"], mean["post"], strict=True)
    ]


def error_bars(mean: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Make Plotly's asymmetric error bar for one metric, in per cent."""
    return {
        "type": "data",
        "symmetric": False,
        "width": 0,
        "thickness": 2,
        "array": 100 * (mean[f"{metric}_high"] - mean[metric]),
        "arrayminus": 100 * (mean[metric] - mean[f"{metric}_low"]),
    }


def over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Average the scores and their bounds over seeds, one row per method and post-processing.

    Parameters
    ----------
    scores : DataFrame
        Columns `method post seed`, and for each of nsc, nscb and drop the value with its `_low` and `_high`,
        all as fractions; `nsc_total`, `nscb_total`.

    Returns
    -------
    DataFrame
        The same columns without `seed`, with `seeds` (how many).
    """
    columns = [c for m in METRICS for c in (m, f"{m}_low", f"{m}_high")] + ["nsc_total", "nscb_total"]
    groups = scores.groupby(["method", "post"], sort=False)
    mean = groups[columns].mean()
    mean["seeds"] = groups.size()
    order = {name: i for i, name in enumerate([*METHOD_NAMES, *POST_NAMES])}
    return mean.reset_index().sort_values(
        ["method", "post"], key=lambda s: s.map(order).fillna(99), ignore_index=True
    )


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Write scores in per cent with their interval, one row per method and post-processing, ready to be read.

    Parameters
    ----------
    scores : DataFrame
        As `over_seeds` takes it.

    Returns
    -------
    DataFrame of str
        Columns named for the reader; the denominators stand in the column names.
    """
    mean = over_seeds(scores)
    table = pd.DataFrame(
        {
            "features": mean["method"].map(lambda m: METHOD_NAMES.get(m, m)),
            "post-processing": mean["post"].map(lambda p: POST_NAMES.get(p, p)),
            "seeds": mean["seeds"],
        }
    )
    totals = {"nsc": "nsc_total", "nscb": "nscb_total"}
    for metric, title in METRICS.items():
        of = "" if metric == "drop" else f" of {mean[totals[metric]].iloc[0]:.0f}"
        unit = "points" if metric == "drop" else "%"
        table[f"{title}{of}, {unit} [95 % interval]"] = [
            f"{100 * row[metric]:.1f} [{100 * row[metric + '_low']:.1f}, {100 * row[metric + '_high']:.1f}]"
            for _, row in mean.iterrows()
        ]
    return table


def score_intervals(scores: pd.DataFrame, chance: dict[str, float] | None = None) -> go.Figure:
    """Show NSC and NSCB of every method, each seed a point, with the mean interval behind it.

    Parameters
    ----------
    scores : DataFrame
        As `over_seeds` takes it.
    chance : dict of str to float, optional
        {"nsc": …, "nscb": …}: dashed lines, fractions.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    mean = over_seeds(scores)
    rows = row_names(mean)
    figure = go.Figure()
    for metric, colour, shift in (("nsc", ACCENTS[0], 0.16), ("nscb", ACCENTS[1], -0.16)):
        place = np.arange(len(mean))[::-1] + shift
        figure.add_scatter(
            x=100 * mean[metric],
            y=place,
            mode="markers",
            name=METRICS[metric],
            legendgroup=metric,
            marker={"color": colour, "size": 10, "symbol": "line-ns-open", "line": {"width": 3}},
            error_x=error_bars(mean, metric),
            text=rows,
            hovertemplate="%{text}: %{x:.1f} %<extra>" + METRICS[metric] + "</extra>",
        )
        at = dict(zip(zip(mean["method"], mean["post"], strict=True), place, strict=True))
        figure.add_scatter(
            x=100 * scores[metric],
            y=[at[k] for k in zip(scores["method"], scores["post"], strict=True)],
            mode="markers",
            name=f"{METRICS[metric]}, one seed",
            legendgroup=metric,
            hoverinfo="skip",
            showlegend=bool(mean["seeds"].max() > 1),
            marker={"color": colour, "size": 6, "opacity": 0.6},
        )
        if chance:
            figure.add_vline(x=100 * chance[metric], line={"dash": "dot", "color": colour, "width": 1})
    above = {"y": 1, "yanchor": "bottom"}  # below, it would meet the title of the axis where there are few rows
    bare(figure, height=110 + 46 * len(mean), legend=above)
    figure.update_yaxes(tickvals=np.arange(len(mean))[::-1], ticktext=rows, zeroline=False)
    figure.update_xaxes(title="treatments answered right, %", range=[0, 101])
    return figure


def confusion(counts: pd.DataFrame) -> go.Figure:
    """Show how often treatments of one mechanism (rows) found a neighbour of another (columns).

    Parameters
    ----------
    counts : DataFrame, square, int
        As `cellclr_lib.profiles.confusion` gives it.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> counts = pd.DataFrame([[3, 1], [0, 2]], index=["Actin", "DNA"], columns=["Actin", "DNA"])
    >>> len(confusion(counts).data)
    1
    """
    names = list(counts.index)
    share = counts / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=names,
            y=names,
            customdata=counts,
            colorscale="Viridis",
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            text=counts.where(counts > 0, "").astype(str),
            texttemplate="%{text}",
            showscale=False,
            hovertemplate="%{y} → %{x}: %{customdata} (%{z:.0%})<extra></extra>",
        )
    )
    bare(figure, height=620)
    figure.update_yaxes(title="mechanism of the query", autorange="reversed", showgrid=False)
    figure.update_xaxes(title="mechanism of its nearest neighbour", tickangle=-45, showgrid=False)
    return figure


def leaders(values: Any, *, spell: Callable[[Any], str] = str, lowest: bool = False) -> str:
    """Name what has the highest value; where several tie, all of them.

    Parameters
    ----------
    values : Series
        Values by what is named; NaN never leads.
    spell : function
        From an entry of the index to its name in a sentence.
    lowest : bool
        Name the lowest instead.

    Returns
    -------
    str
        "A", "A and B", "A, B and C", or from four on how many of all: "5 of the 16 alike".

    Examples
    --------
    >>> leaders(pd.Series({"SimCLR": 0.6, "untrained": 0.6, "pixel PCA": 0.4}))
    'SimCLR and untrained'
    """
    best = values.index[values == (values.min() if lowest else values.max())]
    if len(best) > 3:
        return f"{'all' if len(best) == len(values) else f'{len(best)} of the'} {len(values)} alike"
    *first, last = map(spell, best) if len(best) else ["none"]
    return f"{', '.join(first)} and {last}" if first else last
