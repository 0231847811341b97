"""Give every figure one look: the palette of mechanisms, the bare layout, the book's renderer."""

import os
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

# Grey for the control and twelve colours. They were moved apart from Krzywinski's colour-blind palette
# (mk.bcgsc.ca/colorblind) until the closest two differed by 14 in CIEDE2000 for full colour vision and for the
# three kinds of colour blindness alike, all of them visible on white and on black; markers differ in shape too.
MOA_COLOURS = {
    "DMSO": "#737373",
    "Actin disruptors": "#9f000e",
    "Aurora kinase inhibitors": "#c3d000",
    "Cholesterol-lowering": "#bcd2df",
    "DNA damage": "#006fff",
    "DNA replication": "#01adfa",
    "Eg5 inhibitors": "#3f06dc",
    "Epithelial": "#00f3a6",
    "Kinase inhibitors": "#604040",
    "Microtubule destabilizers": "#089555",
    "Microtubule stabilizers": "#fb3000",
    "Protein degradation": "#ba89a3",
    "Protein synthesis": "#930169",
}
_SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "cross",
    "x",
    "triangle-up",
    "triangle-down",
    "star",
    "hexagon",
    "pentagon",
    "bowtie",
    "hourglass",
    "triangle-right",
)
MOA_SYMBOLS = dict(zip(MOA_COLOURS, _SYMBOLS, strict=True))

NEUTRAL = "#808080"  # lines and text that must be read on white and on black
GRID = "rgba(128,128,128,0.22)"
ACCENTS = ("#008df9", "#ff6e3a", "#009f81", "#ff5aaf")  # methods, stages, seeds: never mechanisms


def moa_colour(moa: str) -> str:
    """Choose the colour of a mechanism of action, grey for DMSO, for none and for one not in BBBC021.

    Parameters
    ----------
    moa : str
        Name of the mechanism as in BBBC021's table, "DMSO" or "".

    Returns
    -------
    str
        Hexadecimal colour, "#rrggbb".

    Examples
    --------
    >>> moa_colour("DMSO")
    '#737373'
    """
    return MOA_COLOURS.get(moa, MOA_COLOURS["DMSO"])


def bare(figure: go.Figure, height: int = 450, **layout: Any) -> go.Figure:
    """Give `figure` the book's look: no background, quiet grid, text readable on white and on black."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": NEUTRAL, "size": 13},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL},
        legend={"bgcolor": "rgba(0,0,0,0)", "orientation": "h", "yanchor": "top", "y": -0.15, "x": 0},
        hoverlabel={"font": {"size": 13}},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure.update_layout(**layout)


def note(words: str) -> go.Figure:
    """Show a sentence in the place of a figure that has nothing to draw.

    Parameters
    ----------
    words : str
        Why there is nothing to draw.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> note("nothing to draw").layout.annotations[0].text
    'nothing to draw'
    """
    figure = go.Figure(go.Scatter(x=[], y=[], showlegend=False, hoverinfo="skip"))  # axes need a trace
    where = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    figure.add_annotation(text=words, showarrow=False, font={"size": 15}, **where)
    corners = {"x0": 0, "x1": 1, "y0": 0, "y1": 1, "xref": "paper", "yref": "paper"}
    figure.add_shape(type="rect", line={"color": NEUTRAL, "width": 1}, **corners)  # so that it is seen as a figure
    bare(figure, height=120)
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(visible=False)


class BookRenderer(MimetypeRenderer):
    """Write a figure as a bare <div> with its JSON: plotly.js lies once in the book's _static."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        """Write the figure as HTML."""
        text = pio.to_json(fig_dict, validate=False, remove_uids=False)
        height = fig_dict["layout"].get("height", 450)
        inert = text.replace("<", "\\u003c")  # no "</script>" inside the script
        html = (
            f'<div class="cellclr-figure" style="height:{height}px"></div>'
            f'<script type="application/json">{inert}</script>'
        )
        return {"text/html": html}


def use_book_renderer_when_asked() -> None:
    """Make `BookRenderer` the default where the book is being built (CELLCLR_FIGURES=book)."""
    if os.environ.get("CELLCLR_FIGURES") == "book":
        pio.renderers["cellclr_book"] = BookRenderer()
        pio.renderers.default = "cellclr_book"
