"""Draw what each view does to a cell, what gives a pair away, which views pay (explained in chapter 3)."""

import numpy as np
import plotly.graph_objects as go

from cellclr_lib.plots.compositing import canvas, colour_key, composite, scale_bar, sheet
from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare

STRIP_PX, GAP_PX = 36, 14  # room for a title above a row, and between groups of columns


def view_grid(pictures, rows, groups, channels=("dna", "tubulin", "actin"), scale_px=32):
    """Show a grid of altered cells: a row per change, a group of columns per cell, all stretched alike.

    Parameters
    ----------
    pictures : ndarray (R, G, K, C, H, W), uint8 or uint16
        Row (change), group (cell), column within the group (as stored, typical, strongest ...).
    rows : sequence of str, length R
        Title above each row.
    groups : sequence of str, length G
        Title above each group of columns.
    channels : sequence of str, length C
    scale_px : int, px
        Length of the scale bar, in pixels of the cells as stored.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If there is not one title for every row and group.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 6 or pictures.shape[:2] != (len(rows), len(groups)):
        raise ValueError(
            f"pictures have shape {pictures.shape}; expected ({len(rows)} rows, {len(groups)} groups, K, C, H, W)"
        )
    n_rows, n_groups, columns, _, height, width = pictures.shape
    colour = composite(pictures.reshape(-1, *pictures.shape[3:]), channels)
    colour = colour.reshape(n_rows, n_groups, columns, height, width, 3)
    row_px, group_px = height + STRIP_PX, columns * width + GAP_PX
    picture = np.zeros((STRIP_PX + n_rows * row_px, n_groups * group_px - GAP_PX, 4), np.uint8)
    for r in range(n_rows):
        for g in range(n_groups):
            top, left = STRIP_PX + r * row_px + STRIP_PX, g * group_px
            tile = picture[top : top + height, left : left + columns * width]
            tile[..., :3], tile[..., 3] = sheet(colour[r, g], columns), 255
    figure = canvas(picture)
    titles = [(g * group_px, STRIP_PX, f"<b>{name}</b>") for g, name in enumerate(groups)]
    titles += [(0, STRIP_PX + r * row_px + STRIP_PX, name) for r, name in enumerate(rows)]
    for x, y, text in titles:
        figure.add_annotation(
            x=x, y=y, text=text, showarrow=False, xanchor="left", yanchor="bottom", font={"size": 12}
        )
    scale_bar(figure, picture.shape[1] - 30, picture.shape[0] - 8, scale_px)  # its label fits on a phone, too
    colour_key(figure, channels)
    return figure


def view_matches(shares, chance):
    """Count the pairs of views that a few numbers match, by views and by how many numbers.

    Parameters
    ----------
    shares : DataFrame, one row per batch
        Columns `views` (rows of the figure, in order of appearance), `numbers` (series) and `share` (fraction of
        the pairs that were matched).
    chance : float
        Fraction that guessing would match.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    names = list(dict.fromkeys(shares["views"]))
    series = list(dict.fromkeys(shares["numbers"]))
    place = {name: len(names) - 1 - i for i, name in enumerate(names)}
    figure = go.Figure()
    for i, label in enumerate(series):
        shift = 0.5 * (0.5 - (i + 0.5) / len(series))
        rows = shares[shares["numbers"] == label]
        mean = rows.groupby("views", sort=False)["share"].mean()
        figure.add_scatter(
            x=100 * rows["share"],
            y=rows["views"].map(place) + shift,
            mode="markers",
            legendgroup=label,
            showlegend=False,
            hoverinfo="skip",
            marker={"color": ACCENTS[i], "size": 7, "opacity": 0.5},
        )
        ends = rows.groupby("views", sort=False)["share"].agg(["min", "max"])
        figure.add_scatter(
            x=100 * np.where(mean > 0.8, ends["min"], ends["max"]),  # beside the points, inside the axis
            y=mean.index.map(place) + shift,
            mode="text",
            text=[f"   {100 * value:.{0 if value > 0.095 else 1}f}   " for value in mean],
            textposition=["middle left" if value > 0.8 else "middle right" for value in mean],
            textfont={"size": 11},
            legendgroup=label,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=100 * mean,
            y=mean.index.map(place) + shift,
            mode="markers",
            name=label,
            legendgroup=label,
            customdata=np.stack([mean.index, [f"{value / chance:.0f}" for value in mean]], axis=1),
            hovertemplate="%{customdata[0]}: %{x:.1f} %, %{customdata[1]} times chance"
            "<extra>%{fullData.name}</extra>",
            marker={"color": ACCENTS[i], "size": 13, "symbol": "line-ns-open", "line": {"width": 3}},
        )
    figure.add_vline(x=100 * chance, line={"dash": "dot", "color": NEUTRAL})
    bare(figure, height=130 + 44 * len(names), legend={"y": -60 / (44 * len(names))})
    figure.update_yaxes(tickvals=list(place.values()), ticktext=list(place), zeroline=False)
    figure.update_xaxes(title="pairs matched, %", range=[-2, 105], zeroline=False)
    return figure


def view_agreement(table):
    """Rank correlation of each quantity between two views of a cell: 1 is untouched, 0 is wiped out.

    Parameters
    ----------
    table : DataFrame (views, quantities), float
        Index and columns name rows and columns of the figure.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure(
        go.Heatmap(
            z=table.to_numpy(),
            x=list(table.columns),
            y=list(table.index),
            colorscale="Viridis",
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            showscale=False,
            texttemplate="%{z:.2f}",
            hovertemplate="%{y}<br>%{x}: %{z:.2f}<extra></extra>",
        )
    )
    bare(figure, height=140 + 36 * len(table))
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, side="top", tickangle=-45)
    return figure
