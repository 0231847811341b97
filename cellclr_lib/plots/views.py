"""Views: what each change does to a cell, what gives a pair away, which changes pay (explained in chapter 3)."""

import numpy as np
import plotly.graph_objects as go

from .images import canvas, colour_key, composite, scale_bar, sheet
from .scores import POST_NAMES
from .style import ACCENTS, NEUTRAL, bare

# What `view_ablation` offers: label of the menu, title of the axis, and the colour of its points.
ABLATION_METRICS = {
    "retrieval": ("replicate retrieval ↑", "wells next to a replicate, %", ACCENTS[2]),
    "nscb": ("NSCB ↑", "treatments answered right, %", ACCENTS[1]),
    "nsc": ("NSC ↑", "treatments answered right, %", ACCENTS[0]),
    "week_from_dmso": ("week told from DMSO ↓", "DMSO wells next to their week, %", ACCENTS[3]),
}
STRIP_PX, GAP_PX = 36, 14  # room for a title above a row, and between groups of columns


def view_grid(pictures, rows, groups, channels=("dna", "tubulin", "actin"), scale_px=32):
    """A grid of altered cells: a row per change, a group of columns per cell, all stretched alike.

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
    """How many pairs of views a few numbers match, by views and by how many numbers.

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


def view_ablation(results, post="standardised", reference="all: default"):
    """Scores of trainings that differ in their views: a row per variant, a point per seed, a tick for the mean.

    One menu chooses the score, another the post-processing. A dashed line marks the mean of the reference; for NSC
    and NSCB a grey bar is the mean of the 95 % intervals over compounds.

    Parameters
    ----------
    results : DataFrame, one row per run and post-processing
        Columns `views` ("group: name", rows of the figure in order of appearance), `seed`, `post`, those of
        `ABLATION_METRICS`, and `_low` and `_high` of nsc and nscb, all as fractions.
    post : str
        Post-processing that is shown first.
    reference : str
        Row that the others are compared with.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If `post` or `reference` is not in the table.
    """
    names, posts = (list(dict.fromkeys(results[column])) for column in ("views", "post"))
    for value, known in ((post, posts), (reference, names)):
        if value not in known:
            raise ValueError(f"{value!r} is not in the table; it holds {', '.join(known)}")
    place = _rows_by_group(names)
    ends = [min(place.values()) - 0.6, max(place.values()) + 0.6]
    runs = results.drop_duplicates(["views", "seed"])
    y = {
        "mean of the default": ends,
        "95 % interval": np.repeat([place[name] for name in names], 3).astype(float),
        "a seed": runs["views"].map(place),
        "mean of the seeds": [place[name] for name in names],
    }
    text = {
        "a seed": [f"{name}, seed {seed}" for name, seed in zip(runs["views"], runs["seed"], strict=True)],
        "mean of the seeds": [f"{name}, mean" for name in names],
    }
    first = next(iter(ABLATION_METRICS))
    figure, owner, x_of = go.Figure(), [], {name: [] for name in posts}  # what the two menus switch
    for metric, (_, _, colour) in ABLATION_METRICS.items():
        values = {name: _ablation_values(results, metric, name, reference) for name in posts}
        for trace, x in values[post].items():
            look = _ablation_look(trace, colour)
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
    figure.update_xaxes(title=ABLATION_METRICS[first][1], zeroline=False)
    metric_menu = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": [own == metric for own in owner]}, {"xaxis.title.text": axis}],
        }
        for metric, (label, axis, _) in ABLATION_METRICS.items()
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


def _ablation_look(trace, colour):
    """Lines without hover for what is read by eye, marks with hover for the runs and their mean."""
    lines = {
        "mean of the default": {"dash": "dash", "color": NEUTRAL, "width": 1.5},
        "95 % interval": {"color": "rgba(128,128,128,0.3)", "width": 6},
    }
    if trace in lines:
        return {"mode": "lines", "line": lines[trace], "hoverinfo": "skip"}
    marker = {
        "a seed": {"size": 8, "opacity": 0.6},
        "mean of the seeds": {"size": 15, "symbol": "line-ns-open", "line": {"width": 3}},
    }[trace]
    hover = "%{text}: %{x:.1f} %<extra></extra>"
    return {"mode": "markers", "marker": {"color": colour, **marker}, "hovertemplate": hover}


def _rows_by_group(names):
    """Height of every row by its name: the first at the top, and half a row more between groups."""
    place, y, before = {}, 0.0, None
    for name in names:
        group = name.split(": ")[0]
        y -= 1.0 if before in (None, group) else 1.5
        place[name], before = y, group
    return place


def _ablation_values(results, metric, post, reference):
    """What each trace of a metric draws along x under one post-processing, in per cent."""
    runs = results.drop_duplicates(["views", "seed"])[["views", "seed"]]
    rows = runs.merge(results[results["post"] == post], on=["views", "seed"], how="left")
    mean = rows.groupby("views", sort=False).mean(numeric_only=True)
    values = {"mean of the default": [mean.loc[reference, metric]] * 2}
    if f"{metric}_low" in rows:
        low, high = mean[f"{metric}_low"], mean[f"{metric}_high"]
        values["95 % interval"] = np.stack([low, high, np.full(len(mean), np.nan)], axis=1).ravel()
    values |= {"a seed": rows[metric], "mean of the seeds": mean[metric]}
    # Plain lists, since a menu hands them to the page as they are; None breaks a line.
    return {
        name: [None if np.isnan(value) else round(100 * float(value), 2) for value in x]
        for name, x in values.items()
    }
