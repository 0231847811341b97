"""Show curves of a training run and the map of its embedding (explained in chapter 5, training)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from skimage.transform import resize

from cellclr_lib.plots.compositing import composite, data_uri, sheet
from cellclr_lib.plots.style import ACCENTS, MOA_COLOURS, MOA_SYMBOLS, NEUTRAL, bare, moa_colour

# Title and direction of the columns of a history that are worth a panel.
CURVES = {
    "loss": "NT-Xent loss",
    "top1": "top-1 of the quiz",
    "lr": "learning rate",
    "retrieval": "replicate retrieval ↑",
    "week_accuracy": "week accuracy ↓",
}


def training_curves(history: pd.DataFrame, baselines: dict[str, dict[str, float]] | None = None) -> go.Figure:
    """Show panels of loss, top-1, learning rate and scores by epoch.

    Parameters
    ----------
    history : DataFrame, one row per epoch
        Column `epoch` and any of those in `CURVES`.
    baselines : dict of str to dict of str to float, optional
        Column → {name: value} drawn as dashed lines, for instance chance or the untrained encoder.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> history = pd.DataFrame({"epoch": [1, 2], "loss": [5.0, 4.0], "top1": [0.1, 0.3]})
    >>> [trace.name for trace in training_curves(history).data]
    ['loss', 'top1']
    """
    shown = [column for column in CURVES if column in history]
    rows = -(-len(shown) // 2)
    figure = make_subplots(rows, 2, subplot_titles=[CURVES[c] for c in shown], vertical_spacing=0.3 / rows)
    for i, column in enumerate(shown):
        row, col = i // 2 + 1, i % 2 + 1
        known = history[column].notna()
        figure.add_scatter(
            x=history["epoch"][known],
            y=history[column][known],
            mode="lines+markers",
            row=row,
            col=col,
            line={"color": ACCENTS[0]},
            showlegend=False,
            name=column,
            hovertemplate="epoch %{x}: %{y:.3g}<extra></extra>",
        )
        for name, value in (baselines or {}).get(column, {}).items():
            figure.add_hline(
                y=value,
                line={"dash": "dash", "color": NEUTRAL},
                row=row,
                col=col,
                annotation={"text": name, "font": {"size": 11}},
            )
    bare(figure, height=230 * rows + 40)
    figure.update_xaxes(tickformat="d", nticks=8)
    figure.update_xaxes(title="epoch", row=rows)
    figure.update_annotations(font_size=13)
    return figure


def _thumbnails(images: np.ndarray, tile_px: int, channels: Sequence[str], columns: int = 40) -> dict[str, Any]:
    """Make a sheet of small merged pictures that the page's script shows under the pointer."""
    small = resize(
        np.asarray(images, np.float32),
        (*images.shape[:2], tile_px, tile_px),
        order=1,
        anti_aliasing=True,
        preserve_range=True,
    )
    pictures = composite(small, channels)
    return {"source": data_uri(sheet(pictures, columns), quality=70), "tile_px": tile_px, "columns": columns}


def embedding_map(
    xy: np.ndarray,
    table: pd.DataFrame,
    images: np.ndarray | None = None,
    *,
    hover: Sequence[str] = ("compound", "concentration_um"),
    tile_px: int = 48,
    channels: Sequence[str] = ("dna", "tubulin", "actin"),
) -> go.Figure:
    """Map cells or wells, coloured by mechanism, week or plate (a menu); hover shows the cell itself.

    The cells travel as one sheet of thumbnails in `layout.meta`, which a script of the book shows under the
    pointer. Elsewhere the hover text remains.

    Parameters
    ----------
    xy : ndarray (N, 2)
        Positions on the map.
    table : DataFrame, N rows
        Columns `moa`, `batch`, `plate` (those present are offered) and those named in `hover`.
    images : ndarray (N, C, H, W), optional
        One picture per point; about 1.2 kB a point in the page at 48 px.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> table = pd.DataFrame({"moa": ["DMSO", "Actin disruptors"], "compound": ["DMSO", "latrunculin B"]})
    >>> [trace.name for trace in embedding_map(np.zeros((2, 2)), table).data]
    ['DMSO', 'Actin disruptors']
    """
    xy = np.asarray(xy, np.float32)
    if len(xy) != len(table):
        raise ValueError(f"xy has {len(xy)} rows and table {len(table)}: expected as many")
    figure = go.Figure()
    tiles = np.arange(len(table))
    about = [column for column in hover if column in table]
    ways = [column for column in ("moa", "batch", "plate") if column in table]
    way_of_trace = []
    for way in ways:
        values = table[way].astype(str).to_numpy()
        names = sorted(set(values), key=natural_order)
        for i, name in enumerate(names):
            rows = np.flatnonzero(values == name)
            text = [" ".join(str(v) for v in row) for row in table.iloc[rows][about].to_numpy()]
            figure.add_scatter(
                x=xy[rows, 0],
                y=xy[rows, 1],
                mode="markers",
                name=name or "not annotated",
                customdata=tiles[rows, None],
                text=text,
                visible=way == ways[0],
                marker={
                    "color": moa_colour(name) if way == "moa" else _ramp(i, len(names)),
                    "symbol": MOA_SYMBOLS.get(name, "circle") if way == "moa" else "circle",
                    "size": 7,
                    "line": {"width": 0.7, "color": NEUTRAL},
                    "opacity": 0.55 if name == "DMSO" else 0.85,
                },
                hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            )
            way_of_trace.append(way)
    labels = {"moa": "mechanism", "batch": "week", "plate": "plate"}
    menu = [
        {
            "label": f"colour: {labels[way]}",
            "method": "restyle",
            "args": [{"visible": [w == way for w in way_of_trace]}],
        }
        for way in ways
    ]
    meta = {} if images is None else {"thumbnails": _thumbnails(images, tile_px, channels)}
    bare(
        figure,
        height=640,
        meta=meta,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        hovermode="closest",
        updatemenus=[
            {
                "buttons": menu,
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "bordercolor": NEUTRAL,
            }
        ],
        legend={"y": -0.02, "font": {"size": 12}, "itemsizing": "constant"},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def natural_order(name: str) -> tuple[bool, str, int]:
    """Make a sort key that puts DMSO first and Week10 after Week9.

    Examples
    --------
    >>> sorted(["Week10", "Week9", "DMSO"], key=natural_order)
    ['DMSO', 'Week9', 'Week10']
    """
    digits = "".join(ch for ch in name if ch.isdigit())
    return (name != "DMSO", "".join(ch for ch in name if not ch.isdigit()), int(digits) if digits else -1)


def _ramp(i: int, n: int) -> str:
    """Choose the i-th of n colours for weeks or plates, from those of mechanisms where they suffice."""
    colours = list(MOA_COLOURS.values())[1:]
    if n <= len(colours):
        return colours[i]
    return f"hsl({int(360 * i / n)},65%,55%)"
