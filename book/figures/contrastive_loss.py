"""Draw what the contrastive loss pulls and pushes (explained in chapter 4, the contrastive loss)."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellclr_lib.plots.compositing import canvas, colour_key, composite, scale_bar, sheet
from cellclr_lib.plots.style import ACCENTS, GRID, NEUTRAL, bare, moa_colour

MARKED = "#ffc33b"  # frames, as in the pictures of fields
GAP = 0.05  # between squares side by side, as a share of the width


def similarity_matrices(cosines, moas, names=None):
    """Cosines of first against second views, one square per network; partners lie on the diagonal.

    Parameters
    ----------
    cosines : dict of str to ndarray (N, N)
        Title of the square → cosines, row i the first view of cell i, column k the second view of cell k.
    moas : sequence of str, length N
        Mechanisms of the cells, equal ones in a row: they are drawn as a strip along the sides.
    names : sequence of str, length N, optional
        What hover says about each cell; the mechanism if not given.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a matrix is not (N, N).
    """
    moas, n = list(moas), len(moas)
    for title, square in cosines.items():
        if np.shape(square) != (n, n):
            raise ValueError(f"{title!r} has shape {np.shape(square)}, expected ({n}, {n}): one row per cell")
    # Categories must be unique, and their order is the order of the cells.
    names = [f"{i + 1}: {name}" for i, name in enumerate(moas if names is None else names)]
    figure = make_subplots(1, len(cosines), subplot_titles=list(cosines), horizontal_spacing=GAP)
    strip, gap = 0.04 * n, 0.01 * n
    starts = [i for i in range(n) if i == 0 or moas[i] != moas[i - 1]]
    for col, square in enumerate(cosines.values(), start=1):
        figure.add_heatmap(
            z=np.asarray(square, np.float32),
            x=names,
            y=names,
            coloraxis="coloraxis",
            hovertemplate="%{y}<br>%{x}<br>cosine %{z:.2f}<extra></extra>",
            row=1,
            col=col,
        )
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            ends, side = (start - 0.5, end - 0.5), (-0.5 - gap - strip, -0.5 - gap)
            look = {"fillcolor": moa_colour(moas[start]), "line": {"width": 0}, "row": 1, "col": col}
            figure.add_shape(type="rect", x0=side[0], x1=side[1], y0=ends[0], y1=ends[1], **look)
            figure.add_shape(type="rect", y0=side[0], y1=side[1], x0=ends[0], x1=ends[1], **look)
    for moa in dict.fromkeys(moas):  # the legend of the strip
        marker = {"color": moa_colour(moa), "symbol": "square", "size": 10}
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker=marker, name=moa or "not annotated", row=1, col=1
        )
    lowest = min(float(np.min(square)) for square in cosines.values())
    bare(
        figure,
        height=500,
        meta={"aspect": _aspect(len(cosines))},
        margin={"l": 0, "r": 60, "t": 30, "b": 150},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 11}},
        coloraxis={
            "colorscale": "Viridis",
            "cmin": lowest,
            "cmax": 1.0,
            "colorbar": {
                "title": {"text": "cosine", "side": "top"},
                "thickness": 10,
                "outlinewidth": 0,
            },
        },
    )
    edges = [-0.5 - gap - strip, n - 0.5]
    hidden = {"showticklabels": False, "ticks": "", "showgrid": False, "zeroline": False, "showline": False}
    figure.update_xaxes(type="category", range=edges, constrain="domain", **hidden)
    figure.update_yaxes(type="category", range=edges[::-1], constrain="domain", **hidden)
    for col in range(1, len(cosines) + 1):
        suffix = "" if col == 1 else str(col)
        figure.update_yaxes(scaleanchor=f"x{suffix}", constraintoward="top", row=1, col=col)
    return figure


def push_weights(cosines, temperatures):
    """Show how one query spreads its push over its negatives, at several temperatures.

    Left: the share of each negative against its cosine. Right: the share of the hardest ones together.

    Parameters
    ----------
    cosines : ndarray (K,)
        Of the query with each of its negatives.
    temperatures : sequence of float, at most four

    Returns
    -------
    plotly.graph_objects.Figure
    """
    hardest = np.sort(np.asarray(cosines, float))[::-1]
    rank = np.arange(1, len(hardest) + 1)
    figure = make_subplots(1, 2, horizontal_spacing=0.2)
    for temperature, colour in zip(temperatures, ACCENTS[: len(temperatures)], strict=True):
        share = np.exp((hardest - hardest[0]) / temperature)
        share /= share.sum()
        look = {"name": f"T = {temperature:g}", "legendgroup": f"{temperature:g}"}
        figure.add_scatter(
            x=hardest,
            y=100 * share,
            mode="markers",
            marker={"color": colour, "size": 5},
            hovertemplate="cosine %{x:.2f}: %{y:.2g} % of the push<extra>%{fullData.name}</extra>",
            showlegend=False,
            row=1,
            col=1,
            **look,
        )
        figure.add_scatter(
            x=rank,
            y=100 * share.cumsum(),
            mode="lines",
            line={"color": colour, "width": 2.5},
            hovertemplate="the %{x} hardest: %{y:.0f} % of the push<extra>%{fullData.name}</extra>",
            row=1,
            col=2,
            **look,
        )
    equal = 100 / len(hardest)
    figure.add_hline(y=equal, line={"dash": "dash", "color": NEUTRAL}, row=1, col=1)
    _note(figure, "all alike", np.log10(equal), row=1, col=1)
    bare(figure, height=400)
    figure.update_xaxes(title="cosine of negative", row=1, col=1)
    figure.update_yaxes(type="log", range=[np.log10(equal) - 2, 2], row=1, col=1)
    figure.update_yaxes(title="share of push, %", title_standoff=4, dtick=1, row=1, col=1)
    figure.update_xaxes(title="hardest negatives", type="log", dtick=1, row=1, col=2)
    figure.update_yaxes(title="share together, %", title_standoff=4, range=[0, 103], row=1, col=2)
    return figure.update_layout(legend={"y": -0.22})


def hardest_negatives(images, captions, moas, marked, hover=None, channels=("dna", "tubulin", "actin")):
    """Rows of cells: a query on the left, its hardest negatives beside it.

    Parameters
    ----------
    images : ndarray (R, K, C, H, W)
        K cells in each of R rows, the query first; all stretched alike.
    captions, moas : sequences of R sequences of K str
        What stands above each cell, and the mechanism that colours the mark beside it.
    marked : ndarray (R, K) of bool
        Cells with a frame.
    hover : sequence of R sequences of K str, optional
        What hover says about each cell.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    rows, columns, _, height, width = np.shape(images)
    colour = composite(np.reshape(images, (rows * columns, *np.shape(images)[2:])), channels)
    strip, gap = 34, width // 4  # above each row, and between the query and the others
    picture = np.zeros((rows * (height + strip), columns * width + gap, 4), np.uint8)
    corners = np.empty((rows, columns, 2), int)  # left, top
    for r in range(rows):
        top = r * (height + strip) + strip
        tiles = sheet(colour[r * columns : (r + 1) * columns], columns)
        for part, left in ((tiles[:, :width], 0), (tiles[:, width:], width + gap)):
            picture[top : top + height, left : left + part.shape[1], :3] = part
            picture[top : top + height, left : left + part.shape[1], 3] = 255
        corners[r, :, 0] = np.arange(columns) * width + gap * (np.arange(columns) > 0)
        corners[r, :, 1] = top
    figure = canvas(picture)
    for r, k in np.ndindex(rows, columns):
        left, top = corners[r, k].tolist()
        figure.add_annotation(
            x=left,
            y=top,
            text=f'<span style="color:{moa_colour(moas[r][k])}">■</span> {captions[r][k]}',
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 11},
        )
        if marked[r][k]:
            box = {"x0": left + 1, "x1": left + width - 3, "y0": top + 1, "y1": top + height - 3}
            figure.add_shape(type="rect", **box, line={"color": MARKED, "width": 3})
    if hover is not None:
        figure.add_scatter(
            x=(corners[..., 0] + width / 2).ravel(),
            y=(corners[..., 1] + height / 2).ravel(),
            mode="markers",
            marker={"size": 40, "opacity": 0},
            text=[text for row in hover for text in row],
            hovertemplate="%{text}<extra></extra>",
        )
    scale_bar(figure, picture.shape[1] - 8, picture.shape[0] - 8, 32)
    colour_key(figure, channels)
    return figure


def push_enrichment(table):
    """By how much more than chance the push meets certain negatives, against temperature.

    Parameters
    ----------
    table : DataFrame
        Columns `who` (name of a line, at most four), `temperature`, and the share of the push on these
        negatives over their share of all negatives: `ratio`, with `low` and `high`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    groups = list(table.groupby("who", sort=False))
    for (who, rows), colour in zip(groups, ACCENTS[: len(groups)], strict=True):
        rows = rows.sort_values("temperature")
        figure.add_scatter(
            x=rows["temperature"],
            y=rows["ratio"],
            error_y={
                "array": rows["high"] - rows["ratio"],
                "arrayminus": rows["ratio"] - rows["low"],
                "thickness": 1,
                "width": 3,
            },
            mode="lines+markers",
            name=who,
            line={"color": colour},
            hovertemplate="T = %{x:g}: %{y:.1f} times chance<extra>%{fullData.name}</extra>",
        )
    figure.add_hline(y=1, line={"dash": "dash", "color": NEUTRAL})
    _note(figure, "chance", 0)
    bare(figure, height=420)
    temperatures = sorted(table["temperature"].unique())
    figure.update_xaxes(
        title="temperature", type="log", tickvals=temperatures, ticktext=[f"{t:g}" for t in temperatures]
    )
    ticks = [1, 2, 5, 10, 20, 50]
    figure.update_yaxes(title="push, times chance", type="log", tickvals=ticks, ticktext=[str(t) for t in ticks])
    return figure.update_layout(legend={"y": -0.22})


def circle_walk(paths, groups, frames=14):
    """Pairs of points on circles, one per temperature; a slider goes through the steps, their start stays inside.

    Parameters
    ----------
    paths : dict of float to ndarray (S, 2, N), radian
        Temperature → angle of both views of N cells after each of S steps (the first: before any).
    groups : sequence of str, length N
        Group of each cell, at most four.
    frames : int
        Positions of the slider, dense at the beginning, where most happens.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    paths = {temperature: np.asarray(path, float) for temperature, path in paths.items()}
    groups = np.asarray(groups)
    steps = min(len(path) for path in paths.values())
    shown = np.unique(np.round(np.geomspace(1, steps, frames)).astype(int)) - 1
    names = list(dict.fromkeys(groups))
    colours = dict(zip(names, ACCENTS[: len(names)], strict=True))
    figure = make_subplots(1, len(paths), subplot_titles=[f"T = {t:g}" for t in paths], horizontal_spacing=GAP)
    places = []  # (trace, path, rows) of the points that move
    for col, path in enumerate(paths.values(), start=1):
        ring = {"x0": -1, "x1": 1, "y0": -1, "y1": 1, "line": {"color": GRID}, "layer": "below"}
        figure.add_shape(type="circle", row=1, col=col, **ring)
        for name in names:
            rows = groups == name
            x, y = _pairs_as_lines(path[0][:, rows], radius=0.82)
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                showlegend=False,
                opacity=0.4,
                marker={"size": 5, "color": colours[name]},
                line={"color": colours[name], "width": 1},
                hovertemplate="%{fullData.name}, start<extra></extra>",
                name=name,
                row=1,
                col=col,
            )
            places.append((len(figure.data), path, rows))
            x, y = _pairs_as_lines(path[shown[-1]][:, rows])
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=name,
                legendgroup=name,
                showlegend=col == 1,
                marker={"size": 9, "color": colours[name], "line": {"width": 0.7, "color": NEUTRAL}},
                line={"color": colours[name], "width": 1.5},
                hovertemplate="%{fullData.name}<extra></extra>",
                row=1,
                col=col,
            )
    positions = []
    traces = [trace for trace, _, _ in places]
    for step in shown.tolist():
        lines = [_pairs_as_lines(path[step][:, rows]) for _, path, rows in places]
        moved = {"x": [x for x, _ in lines], "y": [y for _, y in lines]}
        positions.append({"label": str(step), "method": "restyle", "args": [moved, traces]})
    bare(
        figure,
        height=500,
        meta={"aspect": _aspect(len(paths))},
        margin={"l": 0, "r": 0, "t": 30, "b": 130},
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
        sliders=[
            {
                "steps": positions,
                "active": len(positions) - 1,
                "currentvalue": {"prefix": "step "},
                "pad": {"t": 5},
                "bgcolor": GRID,
                "activebgcolor": NEUTRAL,
                "bordercolor": NEUTRAL,
                "tickcolor": NEUTRAL,
            }
        ],
    )
    figure.update_xaxes(visible=False, range=[-1.15, 1.15], constrain="domain")
    figure.update_yaxes(visible=False, range=[-1.15, 1.15], constrain="domain", constraintoward="top")
    for col in range(1, len(paths) + 1):
        figure.update_yaxes(scaleanchor="x" if col == 1 else f"x{col}", row=1, col=col)
    return figure


def _aspect(n):
    """Height over width of n squares side by side, so that they fit at any width of the page."""
    return (1 - GAP * (n - 1)) / n


def _note(figure, text, log10_y, **where):
    """Write a small word above a dashed line; on a logarithmic axis Plotly wants the exponent."""
    figure.add_annotation(
        text=text,
        x=0,
        xref="x domain",
        y=log10_y,
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        font={"size": 11},
        **where,
    )


def _pairs_as_lines(angles, radius=1.0):
    """List x and y of lines from first to second view, (2, n) angles; None ends each line."""
    corners = (radius * np.stack([np.cos(angles), np.sin(angles)])).round(3)  # (2, 2, n)
    gaps = np.full((2, 1, corners.shape[2]), np.nan)
    lines = np.concatenate([corners, gaps], axis=1).transpose(0, 2, 1).reshape(2, -1)
    return tuple([None if np.isnan(v) else v for v in row] for row in lines.tolist())
