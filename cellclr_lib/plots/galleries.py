"""Draw montages of cells, pairs of cells, and fields of view with their nuclei."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots.compositing import canvas, colour_key, composite, data_uri, scale_bar, sheet
from cellclr_lib.plots.style import NEUTRAL, moa_colour


def montage(
    images: np.ndarray,
    labels: Sequence[str] | np.ndarray | pd.Series,
    *,
    columns: int = 6,
    blocks: int = 2,
    seed: int = 0,
    channels: Sequence[str] = ("dna", "tubulin", "actin"),
) -> go.Figure:
    """Show a few cells of every label side by side, all stretched alike.

    Parameters
    ----------
    images : ndarray (N, C, H, W), uint8 or uint16
    labels : sequence of str, length N
        What a block of cells shares, most often the mechanism of action.
    columns, blocks : int
        Cells per label and labels per row of the figure.
    seed : int
        Which cells are drawn.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> cells = np.random.default_rng(0).integers(0, 255, (4, 3, 16, 16), dtype=np.uint8)
    >>> figure = montage(cells, ["DMSO", "DMSO", "taxol", "taxol"], columns=2)
    >>> len(figure.layout.images)
    1
    """
    generator = np.random.default_rng(seed)
    given = np.asarray(labels)
    names = list(dict.fromkeys(sorted(given, key=lambda m: (m != "DMSO", m))))
    chosen = [generator.permutation(np.flatnonzero(given == name))[:columns] for name in names]
    colour = composite(images[np.sort(np.concatenate(chosen))], channels)
    position = {cell: i for i, cell in enumerate(np.sort(np.concatenate(chosen)))}

    size, strip, gap = images.shape[-1], 36, 14
    rows = -(-len(names) // blocks)
    block_width, block_height = columns * size + gap, size + strip
    picture = np.zeros((rows * block_height, blocks * block_width - gap, 4), np.uint8)
    places = []
    for i, cells in enumerate(chosen):
        top, left = (i % rows) * block_height + strip, (i // rows) * block_width
        places.append((left, top))
        for j, cell in enumerate(cells):
            picture[top : top + size, left + j * size : left + (j + 1) * size, :3] = colour[position[cell]]
            picture[top : top + size, left + j * size : left + (j + 1) * size, 3] = 255

    figure = canvas(picture)
    for name, (left, top) in zip(names, places, strict=True):
        figure.add_annotation(
            x=left,
            y=top,
            text=f'<span style="color:{moa_colour(name)}">■</span> {name}',
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
        )
    left, top = places[-1]
    scale_bar(figure, left + len(chosen[-1]) * size - 6, top + size - 6, 32)
    colour_key(figure, channels)
    return figure


def pairs(
    left: np.ndarray,
    right: np.ndarray,
    titles: tuple[str, str],
    channels: Sequence[str] = ("dna", "tubulin", "actin"),
) -> go.Figure:
    """Show cells of `left` above cells of `right`: queries and their neighbours, cells and their views.

    Parameters
    ----------
    left, right : ndarray (N, C, H, W)
        Stretched together.
    titles : (str, str)
        Names of the two rows.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> cells = np.random.default_rng(0).integers(0, 255, (2, 3, 16, 16), dtype=np.uint8)
    >>> len(pairs(cells, cells[::-1], ("cell", "neighbour")).layout.images)
    1
    """
    n, _, height, width = left.shape
    colour = composite(np.concatenate([left, right]), channels)
    strip = 36
    picture = np.zeros((2 * (height + strip), n * width, 4), np.uint8)
    for row in range(2):
        top = row * (height + strip) + strip
        picture[top : top + height, :, :3] = sheet(colour[row * n : (row + 1) * n], n)
        picture[top : top + height, :, 3] = 255
    figure = canvas(picture)
    for row, title in enumerate(titles):
        figure.add_annotation(
            x=0,
            y=row * (height + strip) + strip,
            text=title,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12},
        )
    scale_bar(figure, n * width - 6, picture.shape[0] - 6, 32)
    colour_key(figure, channels)
    return figure


def field(
    image: np.ndarray,
    kept: pd.DataFrame | None = None,
    rejected: pd.DataFrame | None = None,
    *,
    crop_px: int = 96,
    shrink: int = 1,
    channels: Sequence[str] = ("dna", "tubulin", "actin"),
) -> go.Figure:
    """Show one field merged or stain by stain (a menu), with the nuclei found and the squares cut around them.

    Parameters
    ----------
    image : ndarray (C, H, W), uint8 or uint16
    kept : DataFrame, optional
        ``x_px y_px`` (column and row) of the nuclei that became a crop.
    rejected : DataFrame, optional
        ``x_px y_px reason`` of those that did not.
    crop_px : int, px
        Side of the squares.
    shrink : int
        The picture is shown at 1/shrink of its resolution, to keep the page small.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype=np.uint8)
    >>> [button.label for button in field(image).layout.updatemenus[0].buttons]
    ['merged', 'dna', 'tubulin', 'actin']
    """
    small = image[:, ::shrink, ::shrink]
    pictures = {"merged": composite(small, channels)}
    for c, name in enumerate(channels):
        alone = np.zeros_like(small)
        alone[c] = small[c]
        pictures[name] = composite(alone, channels)
    figure = canvas(pictures["merged"])
    sources = [data_uri(picture, quality=80) for picture in pictures.values()]

    if kept is not None and len(kept):
        half = crop_px / 2
        corners = np.array([(-half, -half), (-half, half), (half, half), (half, -half), (-half, -half)])
        centres = kept[["y_px", "x_px"]].to_numpy()
        outline = (centres[:, None] + corners) / shrink
        outline = np.concatenate([outline, np.full((len(kept), 1, 2), np.nan)], axis=1).reshape(-1, 2)
        figure.add_scatter(
            x=outline[:, 1],
            y=outline[:, 0],
            mode="lines",
            name="crop",
            hoverinfo="skip",
            line={"color": "#ffc33b", "width": 1},
        )
        figure.add_scatter(
            x=centres[:, 1] / shrink,
            y=centres[:, 0] / shrink,
            mode="markers",
            name="nucleus kept",
            marker={"color": "#ffc33b", "size": 5},
            hoverinfo="skip",
        )
    if rejected is not None and len(rejected):
        figure.add_scatter(
            x=rejected["x_px"] / shrink,
            y=rejected["y_px"] / shrink,
            mode="markers",
            name="nucleus rejected",
            marker={"color": "#ff6e3a", "size": 9, "symbol": "x"},
            text=rejected["reason"],
            hovertemplate="rejected: %{text}<extra></extra>",
        )
    menu = [
        {"label": name, "method": "relayout", "args": [{"images[0].source": source}]}
        for name, source in zip(pictures, sources, strict=True)
    ]
    figure.update_layout(
        showlegend=True,
        margin={"l": 0, "r": 0, "t": 66, "b": 40},
        legend={"y": -0.01, "yanchor": "top", "orientation": "h"},
        updatemenus=[
            {
                "buttons": menu,
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "pad": {"b": 24},
                "bordercolor": NEUTRAL,
            }
        ],
    )
    height, width = pictures["merged"].shape[:2]
    scale_bar(figure, width - 10, height - 10, 64 // shrink, shrink)
    colour_key(figure, channels)
    return figure
