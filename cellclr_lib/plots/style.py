"""One look for every figure: the palette of mechanisms, the bare layout, the book's renderer."""

import os

import plotly.io as pio
from plotly.io.base_renderers import MimetypeRenderer

# Twelve colours that stay apart under the three kinds of colour blindness (Krzywinski's 12-colour palette,
# mk.bcgsc.ca/colorblind) and grey for the control. Related mechanisms do not share a hue on purpose: the
# reader must tell neighbours on a map apart, and the markers differ in shape as well.
MOA_COLOURS = {
    "DMSO": "#8c8c8c",
    "Actin disruptors": "#e20134",
    "Aurora kinase inhibitors": "#ffc33b",
    "Cholesterol-lowering": "#ffb2fd",
    "DNA damage": "#008df9",
    "DNA replication": "#00c2f9",
    "Eg5 inhibitors": "#8400cd",
    "Epithelial": "#00fccf",
    "Kinase inhibitors": "#a40122",
    "Microtubule destabilizers": "#009f81",
    "Microtubule stabilizers": "#ff6e3a",
    "Protein degradation": "#ff5aaf",
    "Protein synthesis": "#9f0162",
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


def moa_colour(moa):
    """Colour of a mechanism of action, grey for DMSO, for no annotation and for one not in BBBC021.

    Parameters
    ----------
    moa : str
        Name of the mechanism as in BBBC021's table, "DMSO" or "".

    Returns
    -------
    str
        Hexadecimal colour, "#rrggbb".
    """
    return MOA_COLOURS.get(moa, MOA_COLOURS["DMSO"])


def bare(figure, height=450, **layout):
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


class BookRenderer(MimetypeRenderer):
    """A figure as a bare <div> with its JSON: plotly.js lies once in the book's _static."""

    def to_mimebundle(self, fig_dict):
        text = pio.to_json(fig_dict, validate=False, remove_uids=False)
        height = fig_dict["layout"].get("height", 450)
        inert = text.replace("<", "\\u003c")  # no "</script>" inside the script
        html = (
            f'<div class="cellclr-figure" style="height:{height}px"></div>'
            f'<script type="application/json">{inert}</script>'
        )
        return {"text/html": html}


def use_book_renderer_when_asked():
    """Make `BookRenderer` the default where the book is being built (CELLCLR_FIGURES=book)."""
    if os.environ.get("CELLCLR_FIGURES") == "book":
        pio.renderers["cellclr_book"] = BookRenderer()
        pio.renderers.default = "cellclr_book"
