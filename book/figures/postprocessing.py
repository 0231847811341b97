"""Draw what whitening and TVN do to controls, weeks and scores (explained in chapter 7, post-processing)."""

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots
from scipy.cluster.hierarchy import leaves_list, linkage

from cellclr_lib.plots.scores import METHOD_NAMES, METRICS, POST_NAMES, over_seeds
from cellclr_lib.plots.style import ACCENTS, MOA_SYMBOLS, NEUTRAL, bare
from cellclr_lib.plots.training import natural_order

_DIVERGING = [[0, ACCENTS[1]], [0.5, "rgba(128,128,128,0.06)"], [1, ACCENTS[0]]]  # nothing is see-through


def by_similarity(covariance):
    """Order of the features that puts those that vary together side by side.

    Parameters
    ----------
    covariance : ndarray (D, D)

    Returns
    -------
    ndarray (D,) of int
        Leaves of an average-linkage tree on ``1 - |correlation|``.
    """
    deviation = np.sqrt(np.diag(covariance).clip(np.finfo(float).tiny))
    distance = 1 - np.abs(covariance / np.outer(deviation, deviation)).clip(0, 1)
    return leaves_list(linkage(distance[np.triu_indices(len(distance), 1)], "average"))


def control_covariances(matrices, limit=1.0):
    """Covariance matrices side by side in one colour scale.

    Parameters
    ----------
    matrices : dict of str to ndarray (D, D)
        Title → covariance.
    limit : float
        Values beyond ± `limit` get the last colour. Drawn in steps of a hundredth of it: a page stays small.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(1, len(matrices), subplot_titles=list(matrices), horizontal_spacing=0.03)
    for col, matrix in enumerate(matrices.values(), start=1):
        steps = np.rint(100 * np.clip(np.asarray(matrix) / limit, -1, 1)).astype(np.int8)
        hover = f"%{{y}}, %{{x}}: %{{z}} % of {limit:g}<extra></extra>"
        figure.add_heatmap(z=steps, coloraxis="coloraxis", hovertemplate=hover, row=1, col=col)
    bare(figure, height=330, margin={"l": 10, "r": 10, "t": 40, "b": 10})
    ticks = {"tickvals": [-100, 0, 100], "ticktext": [f"≤ −{limit:g}", "0", f"≥ {limit:g}"]}
    bar = {"orientation": "h", "y": -0.06, "yanchor": "top", "thickness": 12, "len": 0.6, **ticks}
    figure.update_layout(coloraxis={"colorscale": _DIVERGING, "cmin": -100, "cmax": 100, "colorbar": bar})
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False, constrain="domain")
    figure.update_yaxes(showticklabels=False, ticks="", showgrid=False, autorange="reversed", constrain="domain")
    for i in range(1, len(matrices) + 1):
        figure.layout[f"yaxis{i if i > 1 else ''}"].scaleanchor = f"x{i if i > 1 else ''}"
    return figure.update_annotations(font_size=13)


def control_spectrum(dmso, treated, lam, lams):
    """Variance of wells along the eigenvectors of DMSO, and what whitening leaves of it.

    Parameters
    ----------
    dmso, treated : ndarray (D,)
        Variance of DMSO wells (falling) and mean square of treated wells about the DMSO mean, per direction.
    lam : float
        λ > 0, drawn as a line across the variances.
    lams : sequence of float
        λ of the curves below.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    place = np.arange(1, len(dmso) + 1)
    titles = ["variance before whitening", "variance of DMSO wells after whitening"]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.12, subplot_titles=titles)
    floor = 1e-6
    for name, values, colour in (("treated wells", treated, ACCENTS[1]), ("DMSO wells", dmso, NEUTRAL)):
        figure.add_scatter(
            x=place,
            y=np.clip(values, floor, None),
            name=name,
            line={"color": colour},
            hovertemplate="direction %{x}: %{y:.2g}<extra>%{fullData.name}</extra>",
            row=1,
            col=1,
        )
    line = {"color": ACCENTS[0], "dash": "dash", "width": 1.5}
    label = {"text": f"λ = {lam:g}", "font": {"color": ACCENTS[0]}}
    figure.add_hline(y=lam, line=line, annotation=label, annotation_position="top right", row=1, col=1)
    for value, shade in zip(lams, _shades(len(lams)), strict=True):
        figure.add_scatter(
            x=place,
            y=dmso / (dmso + value),
            name=f"λ = {value:g}",
            line={"color": shade},
            hovertemplate="direction %{x}: %{y:.2f}<extra>%{fullData.name}</extra>",
            row=2,
            col=1,
        )
    bare(figure, height=560, legend={"y": -0.13})
    figure.update_yaxes(type="log", exponentformat="power", dtick=2, row=1)
    figure.update_yaxes(range=[0, 1.05], row=2)
    figure.update_xaxes(title="direction of DMSO, loud to quiet", row=2)
    return figure.update_annotations(font_size=13)


def control_maps(maps, weeks, hover):
    """Map the first two principal components of DMSO wells under several post-processings, coloured by week.

    Parameters
    ----------
    maps : dict of str to ndarray (n, 2)
        Title → positions of the n wells.
    weeks, hover : sequence of str, length n
        Week of each well, and what hover says.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    weeks, hover = np.asarray(weeks), np.asarray(hover)
    for title, xy in maps.items():
        if np.shape(xy) != (len(weeks), 2):
            raise ValueError(f"{title!r} has shape {np.shape(xy)}; expected ({len(weeks)}, 2): one row per well")
    rows = -(-len(maps) // 2)
    figure = make_subplots(
        rows, 2, subplot_titles=list(maps), horizontal_spacing=0.06, vertical_spacing=0.2 / rows
    )
    names = sorted(set(weeks), key=natural_order)
    symbols = list(MOA_SYMBOLS.values())
    colours = sample_colorscale("Plasma", np.linspace(0.18, 0.97, len(names)))
    for i, name in enumerate(names):
        own = weeks == name
        for j, xy in enumerate(maps.values()):
            figure.add_scatter(
                x=np.asarray(xy, np.float32)[own, 0],
                y=np.asarray(xy, np.float32)[own, 1],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=j == 0,
                text=hover[own],
                hovertemplate="%{text}<extra></extra>",
                marker={
                    "color": colours[i],
                    "symbol": symbols[i % len(symbols)],
                    "size": 7,
                    "line": {"width": 0.6, "color": NEUTRAL},
                },
                row=j // 2 + 1,
                col=j % 2 + 1,
            )
    bare(figure, height=300 * rows + 80, hovermode="closest", legend={"y": -0.04})
    figure.update_xaxes(showticklabels=False, ticks="")
    figure.update_yaxes(showticklabels=False, ticks="")
    return figure.update_annotations(font_size=13)


def week_accuracy(table, chance):
    """Compare week accuracy of DMSO wells that were used for the fit with that of others.

    Parameters
    ----------
    table : DataFrame
        Columns `post`, `wells` (one marker each), `told` (fraction); several rows of a kind are drawn as points
        with a line at their mean.
    chance : float
        Fraction, drawn as a dotted line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    posts = list(dict.fromkeys(table["post"]))
    figure = go.Figure()
    for i, wells in enumerate(dict.fromkeys(table["wells"])):
        rows = table[table["wells"] == wells]
        _points_and_mean(
            figure, 100 * rows["told"], rows["post"].map(posts.index), wells, ACCENTS[i], 0.14 - 0.28 * i
        )
    label = {"text": "chance", "font": {"size": 11}}
    figure.add_vline(x=100 * chance, line={"dash": "dot", "color": NEUTRAL}, annotation=label)
    bare(figure, height=150 + 60 * len(posts), legend={"y": 1.02, "yanchor": "bottom"})
    figure.update_yaxes(tickvals=-np.arange(len(posts)), ticktext=posts, zeroline=False)
    return figure.update_xaxes(title="week accuracy, % (lower is better)", rangemode="tozero")


def post_gains(scores):
    """Show what each post-processing adds to raw features, in points; seeds are points, lines their means.

    Parameters
    ----------
    scores : DataFrame
        As `over_seeds` takes it, with the raw features as post "none".

    Returns
    -------
    plotly.graph_objects.Figure
    """
    keys = ["method", "seed"]
    raw = scores[scores["post"] == "none"].set_index(keys)
    rows = [row for row in over_seeds(scores)[["method", "post"]].itertuples(index=False) if row.post != "none"]
    names = [f"{METHOD_NAMES.get(m, m)}, {POST_NAMES.get(p, p)}" for m, p in rows]
    figure = go.Figure()
    for metric, colour, shift in (("nsc", ACCENTS[0], 0.15), ("nscb", ACCENTS[1], -0.15)):
        x, y = [], []
        for i, (method, post) in enumerate(rows):
            own = scores[(scores["method"] == method) & (scores["post"] == post)].set_index(keys)[metric]
            x += list(100 * (own - raw[metric].loc[own.index]))
            y += [i] * len(own)
        _points_and_mean(figure, np.array(x), np.array(y), METRICS[metric], colour, shift)
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1})
    bare(figure, height=110 + 44 * len(rows))
    figure.update_yaxes(tickvals=-np.arange(len(rows)), ticktext=names, zeroline=False)
    return figure.update_xaxes(title="points over raw features")


def whitening_sketch(panels):
    """Show two features of made-up wells: grey DMSO, two kinds of treatment.

    Parameters
    ----------
    panels : dict of str to (ndarray (n, 2), ndarray (m, 2), ndarray (m,))
        Title → DMSO wells, treated wells, kind of the treated wells (two values). Two panels a row.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    rows = -(-len(panels) // 2)
    figure = make_subplots(rows, 2, subplot_titles=list(panels), vertical_spacing=0.2 / rows)
    for i, (dmso, treated, kind) in enumerate(panels.values()):
        first, second = np.unique(kind)
        clouds = {
            "DMSO": (dmso, NEUTRAL, "circle-open"),
            "mechanism A": (treated[kind == first], ACCENTS[0], "square"),
            "mechanism B": (treated[kind == second], ACCENTS[1], "diamond"),
        }
        for name, (xy, colour, symbol) in clouds.items():
            figure.add_scatter(
                x=xy[:, 0],
                y=xy[:, 1],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=i == 0,
                hoverinfo="skip",
                marker={"color": colour, "symbol": symbol, "size": 7},
                row=i // 2 + 1,
                col=i % 2 + 1,
            )
    bare(figure, height=280 * rows + 60, legend={"y": -0.04})
    figure.update_xaxes(showticklabels=False, ticks="", constrain="domain")
    figure.update_yaxes(showticklabels=False, ticks="")
    for i in range(1, len(panels) + 1):
        figure.layout[f"yaxis{i if i > 1 else ''}"].scaleanchor = f"x{i if i > 1 else ''}"
    return figure.update_annotations(font_size=13)


def _shades(n):
    return sample_colorscale([[0, ACCENTS[2]], [1, ACCENTS[3]]], np.linspace(0, 1, n) if n > 1 else [0])


def _points_and_mean(figure, x, rows, name, colour, shift):
    """Points in numbered rows, shifted, with an upright line at the mean of each row."""
    x, rows = np.asarray(x, float), np.asarray(rows)
    kinds = np.unique(rows)
    means = [x[rows == kind].mean() for kind in kinds]
    points = {"color": colour, "size": 7, "opacity": 0.6}
    line = {"color": colour, "size": 12, "symbol": "line-ns-open", "line": {"width": 3}}
    hover = "%{x:.1f}<extra>" + name + "</extra>"
    about = {"mode": "markers", "legendgroup": name, "hovertemplate": hover}
    figure.add_scatter(x=means, y=shift - kinds, name=name, marker=line, **about)
    figure.add_scatter(x=x, y=shift - rows, name=f"{name}, one seed", marker=points, showlegend=False, **about)
