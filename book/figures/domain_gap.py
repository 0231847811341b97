"""Draw how far simulated crops are from real ones (explained in chapter 9, the real screen)."""

import numpy as np
import plotly.graph_objects as go

from cellclr_lib.plots.style import ACCENTS, GRID, NEUTRAL, bare

CHANNEL_NAMES = {"dna": "DNA", "tubulin": "tubulin", "actin": "actin", "pairs": "two stains", "all": "all stains"}
_COLOURS = dict(zip(CHANNEL_NAMES, (ACCENTS[0], ACCENTS[2], ACCENTS[3], ACCENTS[1], NEUTRAL), strict=True))
_SYMBOLS = dict(zip(CHANNEL_NAMES, ("circle", "square", "diamond", "triangle-up", "star"), strict=True))
_SIZES_PX = (2, 3, 5, 10, 20, 50)  # shown on the axis of detail


def spectrum_ratio(measured):
    """Power of simulated over real crops by size of detail, one line per channel.

    Parameters
    ----------
    measured : DataFrame
        Columns `quantity channel at real simulated again`; of it the rows whose quantity is "spectrum", `at` being
        the frequency in cycles per pixel. `again` is a second simulated draw.

    Returns
    -------
    plotly.graph_objects.Figure
        Logarithmic in both directions; 1 is no gap. Full lines hold `simulated` against real crops, dotted ones
        against `again`: what two draws differ by.

    Raises
    ------
    ValueError
        If there is no spectrum in the table.
    """
    spectra = measured[measured["quantity"] == "spectrum"]
    if spectra.empty:
        raise ValueError("the table has no rows with the quantity 'spectrum'")
    figure = go.Figure()
    for channel, rows in spectra.groupby("channel", sort=False):
        for other, dash, name in (("real", "solid", ""), ("again", "dot", ", two draws")):
            figure.add_scatter(
                x=1 / rows["at"],
                y=rows["simulated"] / rows[other],
                mode="lines",
                name=CHANNEL_NAMES[channel] + name,
                legendgroup=channel,
                showlegend=other == "real",
                line={"color": _COLOURS[channel], "dash": dash, "width": 2.5 if other == "real" else 1.5},
                hovertemplate="detail of %{x:.1f} px: %{y:.2f} times<extra>%{fullData.name}</extra>",
            )
    figure.add_hline(y=1, line={"color": NEUTRAL, "width": 1})
    bare(figure, height=430, legend={"y": 1, "yanchor": "bottom"}, margin={"t": 50})
    figure.update_xaxes(type="log", autorange="reversed", title="size of the detail (period), px")
    figure.update_xaxes(tickvals=_SIZES_PX, ticktext=list(map(str, _SIZES_PX)))
    figure.update_yaxes(
        type="log", title="power, simulated ÷ real", tickvals=[0.1, 0.2, 0.5, 1, 2, 5], zeroline=False
    )
    return figure


def told_by_family(told):
    """Show how well a classifier tells simulated from real cells by each family of handcrafted features.

    Parameters
    ----------
    told : DataFrame
        Columns `kind channel auc auc_again`, one row per family.

    Returns
    -------
    plotly.graph_objects.Figure
        A row per kind, a mark per channel; hollow ones tell the two simulated draws apart.
    """
    kinds = list(told["kind"].unique())
    figure = go.Figure()
    for channel, rows in told.groupby("channel", sort=False):
        for column, ending, shift in (("auc", "", -0.12), ("auc_again", "-open", 0.16)):
            figure.add_scatter(
                x=rows[column],
                y=[kinds.index(kind) + shift for kind in rows["kind"]],
                mode="markers",
                name=CHANNEL_NAMES[channel],
                legendgroup=channel,
                showlegend=not ending,
                marker={
                    "color": _COLOURS[channel],
                    "symbol": _SYMBOLS[channel] + ending,
                    "size": 7 if ending else 12,
                    "line": {"color": _COLOURS[channel], "width": 1.5 if ending else 0},
                },
                text=rows["kind"],
                hovertemplate=f"%{{text}}: AUC %{{x:.3f}}<extra>{CHANNEL_NAMES[channel]}"
                f"{', two draws' if ending else ''}</extra>",
            )
    bare(figure, height=110 + 44 * len(kinds), legend={"y": 1, "yanchor": "bottom"}, margin={"t": 50})
    for place in np.arange(len(kinds) - 1) + 0.5:
        figure.add_hline(y=place, line={"color": GRID, "width": 1})
    figure.update_yaxes(
        tickvals=list(range(len(kinds))),
        ticktext=kinds,
        range=[len(kinds) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title="AUC: 0.5 cannot tell, 1 always tells", range=[0.42, 1.02], zeroline=False)
    return figure
