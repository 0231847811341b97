"""Draw the figures of chapter 6, *evaluation*."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots.scores import METHOD_COLOURS, POST_NAMES, error_bars, over_seeds, row_names
from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare


def score_slope(scores):
    """Connect NSC and NSCB, a line per method: the steeper it falls, the more of the score was the week.

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
    for i, name in enumerate(row_names(mean)):
        row = mean.iloc[i]
        spread = 0.012 * (i - len(mean) / 2)  # intervals side by side, not on top of each other
        bars = [error_bars(mean.iloc[[i]], metric) for metric in ("nsc", "nscb")]
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


def error_table(neighbours):
    """Select the queries whose neighbour has another mechanism, the most similar wrong pair first.

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


def data_ladder(counts):
    """Count the rows left at each level from cells to queries, on a logarithmic scale.

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
    """Show which reference treatments NSC and NSCB leave to each query.

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
