"""Pictures of cells and fields: stains merged to colour, with scale bar, channel names and colour key."""

import base64
import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from cellclr_lib.plots.style import NEUTRAL, bare, moa_colour

# Magenta and green stay apart for colour-blind readers, and blue is dim enough to lie under both.
CHANNEL_COLOURS = {"dna": (70, 110, 255), "tubulin": (60, 230, 90), "actin": (255, 50, 200)}
GAMMA = 0.7  # lifts dim structures; the same for every cell of a figure
_FALLBACK = ((70, 110, 255), (60, 230, 90), (255, 50, 200), (255, 200, 60), (180, 180, 180))


def channel_colours(channels):
    """Colour (red, green, blue; 0 to 255) of each channel, by its name if that is known, else by its place."""
    return [CHANNEL_COLOURS.get(name, _FALLBACK[i % len(_FALLBACK)]) for i, name in enumerate(channels)]


def composite(images, channels=("dna", "tubulin", "actin"), percentiles=(1.0, 99.7)):
    """Merge the stains of `images` into colour, each stretched between two percentiles of all images.

    Parameters
    ----------
    images : ndarray (N, C, H, W) or (C, H, W), uint8 or uint16
    channels : sequence of str, length C
        Names that choose the colours.
    percentiles : (float, float), percent
        Intensities shown as black and as full colour; common to all images, so that they compare.

    Returns
    -------
    ndarray (N, H, W, 3) or (H, W, 3), uint8
    """
    images = np.asarray(images)
    stack = images[None] if images.ndim == 3 else images
    if stack.ndim != 4 or stack.shape[1] != len(channels):
        raise ValueError(f"images have shape {images.shape}, expected (N, {len(channels)}, H, W)")
    merged = np.zeros((len(stack), *stack.shape[2:], 3), np.float32)
    for c, colour in enumerate(channel_colours(channels)):
        low, high = np.percentile(stack[:, c], percentiles)
        shown = np.clip((stack[:, c].astype(np.float32) - low) / max(high - low, 1.0), 0, 1)
        merged += shown[..., None] ** GAMMA * np.asarray(colour, np.float32)
    merged = np.clip(merged, 0, 255).astype(np.uint8)
    return merged[0] if images.ndim == 3 else merged


def data_uri(picture, quality=85):
    """`picture` (H, W, 3) uint8 as a WebP data URI, small enough to travel inside a page."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=quality, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def sheet(pictures, columns):
    """Lay `pictures` (N, H, W, 3) row by row on one sheet (rows*H, columns*W, 3), black at its end."""
    n, height, width, _ = pictures.shape
    rows = -(-n // columns)
    tiles = np.zeros((rows * columns, height, width, 3), np.uint8)
    tiles[:n] = pictures
    tiles = tiles.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(rows * height, columns * width, 3)


def colour_key(figure, channels):
    """Channel names in their colours, above the picture."""
    key = "  ".join(
        f'<span style="color:rgb{colour}">■</span> {name}'
        for name, colour in zip(channels, channel_colours(channels), strict=True)
    )
    figure.add_annotation(
        text=key, xref="paper", yref="paper", x=0, y=1, xanchor="left", yanchor="bottom", showarrow=False
    )


def scale_bar(figure, x, y, length_px, shrink=1):
    """White bar from (x, y) leftwards with its length above it, in pixels of the field."""
    label = f"{length_px * shrink} px"
    figure.add_shape(type="line", x0=x - length_px, x1=x, y0=y, y1=y, line={"color": "white", "width": 3})
    figure.add_annotation(
        x=x - length_px / 2,
        y=y,
        text=label,
        showarrow=False,
        yanchor="bottom",
        font={"color": "white", "size": 11},
        bgcolor="rgba(0,0,0,0.6)",
        yshift=3,
    )


def canvas(picture):
    """Figure that shows `picture` pixel for pixel with hidden axes, in proportion at every width."""
    height, width = picture.shape[:2]
    figure = go.Figure(go.Scatter(x=[], y=[], showlegend=False, hoverinfo="skip"))  # axes need a trace
    figure.add_layout_image(
        source=data_uri(picture),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=width,
        sizey=height,
        sizing="stretch",
        layer="below",
    )
    bare(
        figure,
        height=int(700 * height / width),
        margin={"l": 0, "r": 0, "t": 30, "b": 0},
        meta={"aspect": height / width},
        showlegend=False,
    )
    figure.update_xaxes(visible=False, range=[-0.5, width - 0.5], constrain="domain")
    figure.update_yaxes(visible=False, range=[height - 0.5, -0.5], constrain="domain", scaleanchor="x")
    return figure


def montage(images, labels, columns=6, blocks=2, seed=0, channels=("dna", "tubulin", "actin")):
    """A few cells of every label side by side, all stretched alike.

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
    """
    generator = np.random.default_rng(seed)
    labels = np.asarray(labels)
    names = [name for name in dict.fromkeys(sorted(labels, key=lambda m: (m != "DMSO", m)))]
    chosen = [generator.permutation(np.flatnonzero(labels == name))[:columns] for name in names]
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


def pairs(left, right, titles, channels=("dna", "tubulin", "actin")):
    """Cells of `left` above cells of `right`: queries and their neighbours, cells and their views.

    Parameters
    ----------
    left, right : ndarray (N, C, H, W)
        Stretched together.
    titles : (str, str)
        Names of the two rows.

    Returns
    -------
    plotly.graph_objects.Figure
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
    image,
    kept=None,
    rejected=None,
    crop_px=96,
    shrink=1,
    channels=("dna", "tubulin", "actin"),
):
    """One field merged or stain by stain (a menu), with the nuclei found and the squares cut around them.

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
