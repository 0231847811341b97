"""Merge stains to colour, and put pictures into figures with scale bar, channel names and colour key."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from cellclr_lib.plots.style import bare

# Magenta and green stay apart for colour-blind readers, and blue is dim enough to lie under both.
CHANNEL_COLOURS = {"dna": (70, 110, 255), "tubulin": (60, 230, 90), "actin": (255, 50, 200)}
GAMMA = 0.7  # lifts dim structures; the same for every cell of a figure
_FALLBACK = ((70, 110, 255), (60, 230, 90), (255, 50, 200), (255, 200, 60), (180, 180, 180))


def channel_colours(channels: Sequence[str]) -> list[tuple[int, int, int]]:
    """Choose the colour (red, green, blue; 0 to 255) of each channel, by its name if known, else by its place."""
    return [CHANNEL_COLOURS.get(name, _FALLBACK[i % len(_FALLBACK)]) for i, name in enumerate(channels)]


def composite(
    images: np.ndarray,
    channels: Sequence[str] = ("dna", "tubulin", "actin"),
    percentiles: tuple[float, float] = (1.0, 99.7),
) -> np.ndarray:
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

    Examples
    --------
    >>> cell = np.zeros((3, 8, 8), np.uint8)
    >>> cell[0, 4, 4] = 200
    >>> composite(cell).shape
    (8, 8, 3)
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


def data_uri(picture: np.ndarray, quality: int = 85) -> str:
    """Write a picture (H, W, 3) uint8 as a WebP data URI, small enough to travel inside a page."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=quality, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def sheet(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Lay `pictures` (N, H, W, 3) row by row on one sheet (rows*H, columns*W, 3), black at its end."""
    n, height, width, _ = pictures.shape
    rows = -(-n // columns)
    tiles = np.zeros((rows * columns, height, width, 3), np.uint8)
    tiles[:n] = pictures
    tiles = tiles.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return tiles.reshape(rows * height, columns * width, 3)


def colour_key(figure: go.Figure, channels: Sequence[str]) -> None:
    """Write the channel names in their colours above the picture."""
    key = "  ".join(
        f'<span style="color:rgb{colour}">■</span> {name}'
        for name, colour in zip(channels, channel_colours(channels), strict=True)
    )
    figure.add_annotation(
        text=key, xref="paper", yref="paper", x=0, y=1, xanchor="left", yanchor="bottom", showarrow=False
    )


def scale_bar(figure: go.Figure, x: float, y: float, length_px: int, shrink: int = 1) -> None:
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


def canvas(picture: np.ndarray) -> go.Figure:
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
