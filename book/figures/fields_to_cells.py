"""Plate maps, and what became of the cells on the way from field to crop (explained in chapter 2)."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellclr_lib.plots.style import ACCENTS, bare


def rejections(counts):
    """Count the nuclei that became a crop and those that did not, by reason.

    Parameters
    ----------
    counts : Series of int
        Number of nuclei by outcome, for instance {"kept": …, "border": …, "debris": …}.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    counts = counts.sort_values()
    share = counts / counts.sum()
    figure = go.Figure(
        go.Bar(
            x=counts.to_numpy(),
            y=[str(name) for name in counts.index],
            orientation="h",
            marker_color=[ACCENTS[0] if name == "kept" else ACCENTS[1] for name in counts.index],
            text=[f"{n:,} ({s:.1%})" for n, s in zip(counts, share, strict=True)],
            textposition="auto",
            hovertemplate="%{y}: %{x:,} nuclei<extra></extra>",
        )
    )
    bare(figure, height=90 + 46 * len(counts))
    figure.update_xaxes(title="nuclei")
    return figure


def intensity_scaling(quantiles, channels=("dna", "tubulin", "actin")):
    """Spread of the pixel values on every plate, before and after scaling, channel by channel.

    Parameters
    ----------
    quantiles : DataFrame
        Columns `stage` (panel title: "before", "after"), `channel`, `plate`, `low`, `median`, `high`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    stages = list(dict.fromkeys(quantiles["stage"]))
    figure = make_subplots(
        len(channels),
        len(stages),
        vertical_spacing=0.1,
        subplot_titles=[f"{c}, {s}" for c in channels for s in stages],
    )
    for r, channel in enumerate(channels):
        for c, stage in enumerate(stages):
            rows = quantiles[(quantiles["channel"] == channel) & (quantiles["stage"] == stage)]
            figure.add_scatter(
                x=rows["plate"],
                y=rows["median"],
                mode="markers",
                row=r + 1,
                col=c + 1,
                showlegend=False,
                marker={"color": ACCENTS[c], "size": 6},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": rows["high"] - rows["median"],
                    "arrayminus": rows["median"] - rows["low"],
                    "width": 0,
                    "thickness": 1.5,
                },
                hovertemplate="%{x}: median %{y:.0f}<extra></extra>",
            )
    bare(figure, height=180 * len(channels) + 60)
    figure.update_xaxes(showticklabels=False, title=None)
    figure.update_xaxes(title="plates, in order of weeks", row=len(channels))
    figure.update_yaxes(rangemode="tozero")
    figure.update_annotations(font_size=13)
    return figure


def illumination(typical, light, channels=("dna", "tubulin", "actin")):
    """Show the mean field, the light fitted to it, and what is left after division, channel by channel.

    Parameters
    ----------
    typical : ndarray (C, H, W)
        Mean over many fields, in units of a field's own mean.
    light : ndarray (C, H, W)
        Relative illumination, mean 1.
    channels : sequence of str, length C

    Returns
    -------
    plotly.graph_objects.Figure
        One colour scale, in per cent above or below the mean of the field.
    """
    stages = {"mean field": typical, "fitted light": light, "mean field / light": typical / light}
    titles = [f"{channel}: {stage}" for channel in channels for stage in stages]
    figure = make_subplots(
        len(channels), len(stages), subplot_titles=titles, vertical_spacing=0.07, horizontal_spacing=0.03
    )
    for c in range(len(channels)):
        for column, image in enumerate(stages.values()):
            figure.add_heatmap(
                z=np.round(100 * (image[c] - 1), 1),
                coloraxis="coloraxis",
                row=c + 1,
                col=column + 1,
                hovertemplate="%{z:+.0f} %<extra></extra>",
            )
    bare(figure, height=200 * len(channels) + 80)
    figure.update_layout(
        coloraxis={
            "colorscale": "PuOr",
            "cmid": 0,
            "cmin": -40,
            "cmax": 40,
            "colorbar": {"title": "%", "outlinewidth": 0},
        }
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure.update_annotations(font_size=12)
