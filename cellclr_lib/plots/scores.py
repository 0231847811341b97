"""Everything about NSC, NSCB and drop (explained in chapter 6, evaluation)."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .style import ACCENTS, NEUTRAL, bare

METHOD_NAMES = {
    "pixel_pca": "pixel PCA",
    "handmade": "hand-made",
    "untrained": "untrained encoder",
    "simclr": "SimCLR",
}
METHOD_COLOURS = dict(zip(METHOD_NAMES, (ACCENTS[3], ACCENTS[1], NEUTRAL, ACCENTS[0]), strict=True))
POST_NAMES = {"none": "raw", "standardised": "z-score", "whitening": "whitening", "tvn": "TVN"}
METRICS = {"nsc": "NSC", "nscb": "NSCB", "drop": "drop"}


def _row_names(mean):
    """ "SimCLR, whitening" and so on, one per row."""
    return [
        f"{METHOD_NAMES.get(method, method)}, {POST_NAMES.get(post, post)}"
        for method, post in zip(mean["method"], mean["post"], strict=True)
    ]


def _bars(mean, metric):
    """Plotly's asymmetric error bar for one metric, in per cent."""
    return {
        "type": "data",
        "symmetric": False,
        "width": 0,
        "thickness": 2,
        "array": 100 * (mean[f"{metric}_high"] - mean[metric]),
        "arrayminus": 100 * (mean[metric] - mean[f"{metric}_low"]),
    }


def over_seeds(scores):
    """Mean over seeds of the scores and of their bounds, one row per method and post-processing.

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


def score_table(scores):
    """Scores in per cent with their interval, one row per method and post-processing, ready to be read.

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


def score_intervals(scores, chance=None):
    """NSC and NSCB of every method, each seed a point, with the mean interval behind it.

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
    rows = _row_names(mean)
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
            error_x=_bars(mean, metric),
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


def score_slope(scores):
    """From NSC to NSCB, a line per method: the steeper it falls, the more of the score was the week.

    Parameters
    ----------
    scores : DataFrame
        As `over_seeds` takes it.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    mean = over_seeds(scores)
    dashes = dict(zip(POST_NAMES, ("solid", "dashdot", "dash", "dot"), strict=True))
    figure = go.Figure()
    for i, name in enumerate(_row_names(mean)):
        row = mean.iloc[i]
        spread = 0.012 * (i - len(mean) / 2)  # intervals side by side, not on top of each other
        bars = [_bars(mean.iloc[[i]], metric) for metric in ("nsc", "nscb")]
        figure.add_scatter(
            x=[spread, 1 + spread],
            y=[100 * row["nsc"], 100 * row["nscb"]],
            mode="lines+markers",
            name=name,
            line={
                "color": METHOD_COLOURS.get(row["method"], NEUTRAL),
                "dash": dashes.get(row["post"], "solid"),
            },
            error_y=bars[0]
            | {side: np.concatenate([bar[side] for bar in bars]) for side in ("array", "arrayminus")},
            hovertemplate="%{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    bare(figure, height=520)
    figure.update_xaxes(tickvals=[0, 1], ticktext=["NSC", "NSCB"], range=[-0.25, 1.25], zeroline=False)
    figure.update_yaxes(title="answered right, %", rangemode="tozero")
    return figure


def confusion(counts):
    """How often treatments of one mechanism (rows) found a neighbour of another (columns).

    Parameters
    ----------
    counts : DataFrame, square, int
        As `cellclr_lib.profiles.confusion` gives it.

    Returns
    -------
    plotly.graph_objects.Figure
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


def error_table(neighbours):
    """The queries whose neighbour has another mechanism, the most similar wrong pair first.

    Parameters
    ----------
    neighbours : DataFrame, one row per query
        Columns `compound concentration_um moa neighbour_compound neighbour_concentration_um neighbour_moa
        similarity`.

    Returns
    -------
    DataFrame
    """
    wrong = neighbours[neighbours["moa"] != neighbours["neighbour_moa"]]
    wrong = wrong.sort_values("similarity", ascending=False)
    return pd.DataFrame(
        {
            "query": [f"{r.compound} {r.concentration_um:g} µM" for r in wrong.itertuples()],
            "its mechanism": wrong["moa"].to_numpy(),
            "nearest neighbour": [
                f"{r.neighbour_compound} {r.neighbour_concentration_um:g} µM" for r in wrong.itertuples()
            ],
            "its mechanism ": wrong["neighbour_moa"].to_numpy(),
            "cosine": [f"{value:.3f}" for value in wrong["similarity"]],
        }
    )


def leaders(values, spell=str, lowest=False):
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
    """
    best = values.index[values == (values.min() if lowest else values.max())]
    if len(best) > 3:
        return f"{'all' if len(best) == len(values) else f'{len(best)} of the'} {len(values)} alike"
    *first, last = map(spell, best) if len(best) else ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def data_ladder(counts):
    """From cells to queries: how many rows are left at each level, on a logarithmic scale.

    Parameters
    ----------
    counts : dict of str to int
        Level → number of rows, in order.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    names, values = list(counts), list(counts.values())
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=ACCENTS[0],
            text=[f"{v:,}" for v in values],
            textposition="auto",
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    bare(figure, height=80 + 46 * len(names))
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(type="log", title="rows (logarithmic)", dtick=1)
    return figure


def admissible_neighbours(meta):
    """Which reference treatments NSC and NSCB leave to each query.

    Parameters
    ----------
    meta : DataFrame, one row per treatment
        Columns `compound concentration_um moa batch`, the last a tuple of weeks.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    meta = meta.sort_values(["moa", "compound", "concentration_um"], ignore_index=True)
    weeks = [set(batch) for batch in meta["batch"]]
    same_week = np.array([[bool(a & b) for b in weeks] for a in weeks])
    same_compound = meta["compound"].to_numpy()[:, None] == meta["compound"].to_numpy()
    same_moa = meta["moa"].to_numpy()[:, None] == meta["moa"].to_numpy()
    states = {
        "both count it": "#009f81",
        "NSC only: shares a week": "#ffc33b",
        "neither: same compound": "#5a5a5a",
    }
    state = np.where(same_compound, 2, np.where(same_week, 1, 0))
    labels = [f"{r.compound} {r.concentration_um:g} µM" for r in meta.itertuples()]
    figure = go.Figure(
        go.Heatmap(
            z=state,
            x=labels,
            y=labels,
            text=np.where(same_moa, "same mechanism", "other mechanism"),
            zmin=0,
            zmax=2,
            colorscale=[[edge / 3, c] for i, c in enumerate(states.values()) for edge in (i, i + 1)],
            showscale=False,
            hovertemplate="query %{y}<br>reference %{x}<br>%{text}<extra></extra>",
        )
    )
    for name, colour in states.items():
        square = {"color": colour, "symbol": "square", "size": 12}
        figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=square)
    bare(figure, height=700, legend={"y": -0.09})
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False, title="references, by mechanism")
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, title="queries", autorange="reversed")
    return figure
