"""Draw a dose series, a field under several contrasts, and fields side by side.

Explained in chapter 1, the screen.
"""

import numpy as np
import plotly.graph_objects as go

from cellclr_lib.plots.compositing import (
    GAMMA,
    canvas,
    channel_colours,
    colour_key,
    composite,
    data_uri,
    scale_bar,
    sheet,
)
from cellclr_lib.plots.plates import discrete_scale, in_palette_order, moa_code
from cellclr_lib.plots.style import GRID, NEUTRAL, bare, moa_colour

USUAL_LIMITS = (1.0, 99.7)  # percentiles shown as black and white in the other pictures of the book
WHITE_POINTS = (90.0, 98.0, 99.0, 99.7, 99.95, 100.0)
GAP_PX = 6  # between the pictures of one figure
STRIP_PX = 36  # above a picture, for its title
RAW_TICKS = (100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


def dose_series(images, table, compound, cells=5, seed=0, channels=("dna", "tubulin", "actin")):
    """Cells of one compound along rising concentration, beside DMSO of the same plates; a menu of stains.

    Parameters
    ----------
    images : ndarray (N, C, H, W), uint8 or uint16
    table : DataFrame, N rows
        Columns `plate compound concentration_um role`.
    compound : str
        Its wells of the role "treatment" are shown; wells of a positive control are not.
    cells : int
        Rows of the figure: cells per dose, or fewer where a dose has no more.
    seed : int
        Which cells are drawn.

    Returns
    -------
    plotly.graph_objects.Figure
        All cells stretched alike.

    Raises
    ------
    ValueError
        If the table has no treated cell of the compound.
    """
    treated = table["role"] == "treatment"
    of_compound = (treated & (table["compound"] == compound)).to_numpy()
    if not of_compound.any():
        known = ", ".join(sorted(set(table["compound"][treated])))
        raise ValueError(f"no treated cell of {compound!r}: there are {known}")
    on_its_plates = table["plate"].isin(table["plate"][of_compound])
    control = (on_its_plates & (table["role"] == "control")).to_numpy()
    dose_of_cell = table["concentration_um"].to_numpy()
    columns = {"DMSO": np.flatnonzero(control)} | {
        f"{dose:g}": np.flatnonzero(of_compound & (dose_of_cell == dose))
        for dose in sorted(set(dose_of_cell[of_compound]))
    }
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(members)[:cells] for members in columns.values()]

    chosen = np.concatenate(drawn)
    pixels = np.asarray(images[np.sort(chosen)])[np.argsort(np.argsort(chosen))]  # a memory map is read in order
    size, strip = pixels.shape[-1], STRIP_PX
    column = np.repeat(np.arange(len(drawn)), [len(members) for members in drawn])
    row = np.concatenate([np.arange(len(members)) for members in drawn])

    def laid_out(tiles):
        picture = np.zeros((strip + cells * size, len(drawn) * size, 4), np.uint8)
        for tile, r, c in zip(tiles, row, column, strict=True):
            place = picture[strip + r * size : strip + (r + 1) * size, c * size : (c + 1) * size]
            place[..., :3], place[..., 3] = tile, 255
        return picture

    pictures = {"merged": laid_out(composite(pixels, channels))}
    for c, name in enumerate(channels):
        stain = pixels[:, c]
        pictures[name] = laid_out(_grey(stain, *np.percentile(stain, USUAL_LIMITS)))
    figure = canvas(pictures["merged"])
    for c, name in enumerate(columns):
        _title(figure, (c + 0.5) * size, strip, name, xanchor="center")
    scale_bar(figure, len(drawn) * size - 6, strip + cells * size - 6, 32)
    colour_key(figure, channels)
    menu = [
        {"label": name, "method": "relayout", "args": [{"images[0].source": data_uri(picture)}]}
        for name, picture in pictures.items()
    ]
    menu_place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 24}, "bordercolor": NEUTRAL}
    return figure.update_layout(margin_t=66, updatemenus=[{"buttons": menu, **menu_place}])


def contrast(image, whites=WHITE_POINTS, black=1.0, channels=("dna", "tubulin", "actin")):
    """Show one field stain by stain and merged under several contrasts (a slider), above its raw values.

    Parameters
    ----------
    image : ndarray (C, H, W), uint8 or uint16
    whites : sequence of float, percent
        Steps of the slider: the percentile of each stain that is shown as white.
    black : float, percent
        The percentile shown as black.
    channels : sequence of str, length C

    Returns
    -------
    plotly.graph_objects.Figure
        The last C traces are the histograms of the stains; the last C shapes are bars above them, from the value
        shown as black to that shown as white.
    """
    whites = sorted(whites)
    limits = [np.percentile(image, (black, white), axis=(1, 2)).T for white in whites]  # (C, 2) each
    start = int(np.argmin(np.abs(np.array(whites) - USUAL_LIMITS[1])))
    sources = [
        data_uri(_panels(image, ends, composite(image, channels, (black, white))), quality=60)
        for white, ends in zip(whites, limits, strict=True)
    ]
    height, width = (side + GAP_PX for side in image.shape[1:])
    names = [*channels, "merged"]
    rows = -(-len(names) // 2)

    figure = canvas(np.zeros((rows * height, 2 * width, 3), np.uint8))
    figure.layout.images[0].source = sources[start]
    for i, name in enumerate(names):
        left, top = (i % 2) * width, (i // 2) * height
        _title(figure, left + 6, top + 6, name, yanchor="top", font_color="white", bgcolor="rgba(0,0,0,0.6)")
    scale_bar(figure, left + width - GAP_PX - 10, top + height - GAP_PX - 10, 64)
    _histograms(figure, image, channels)

    first_bar = len(figure.layout.shapes)
    for c, colour in enumerate(channel_colours(channels)):
        level = 0.96 - 0.10 * c
        figure.add_shape(
            xref="x2",
            yref="y2 domain",
            y0=level,
            y1=level,
            **dict(zip(("x0", "x1"), _log(limits[start][c]), strict=True)),
            line={"color": f"rgb{colour}", "width": 5},
        )
    steps = []
    for white, source, ends in zip(whites, sources, limits, strict=True):
        change = {"images[0].source": source}
        for c, (low, high) in enumerate(_log(ends)):
            change |= {f"shapes[{first_bar + c}].x0": low, f"shapes[{first_bar + c}].x1": high}
        steps.append({"label": f"{white:g}", "method": "relayout", "args": [change]})
    picture_part = 0.76  # of the height; the histograms lie below
    return figure.update_layout(
        meta={"aspect": rows * height / (2 * width) / picture_part},
        yaxis={"domain": [1 - picture_part, 1]},
        margin={"l": 0, "r": 0, "t": 10, "b": 150},
        sliders=[
            {
                "steps": steps,
                "active": start,
                "currentvalue": {"prefix": "white is the percentile "},
                "bgcolor": NEUTRAL,
                "bordercolor": NEUTRAL,
                "pad": {"t": 56},
            }
        ],
    )


def beside(images, titles, channels=("dna", "tubulin", "actin")):
    """Fields or cells side by side, all stretched alike.

    Parameters
    ----------
    images : sequence of ndarray (C, H, W), uint8 or uint16, of one shape
    titles : sequence of str, one per image

    Returns
    -------
    plotly.graph_objects.Figure
    """
    images = np.stack(images)
    if len(titles) != len(images):
        raise ValueError(f"{len(images)} images and {len(titles)} titles: expected as many")
    height, width = images.shape[2:]
    picture = np.zeros((STRIP_PX + height, len(images) * (width + GAP_PX) - GAP_PX, 4), np.uint8)
    for i, colour in enumerate(composite(images, channels)):
        left = i * (width + GAP_PX)
        picture[STRIP_PX:, left : left + width, :3] = colour
        picture[STRIP_PX:, left : left + width, 3] = 255
    figure = canvas(picture)
    for i, title in enumerate(titles):
        _title(figure, i * (width + GAP_PX), STRIP_PX, title)
    scale_bar(figure, picture.shape[1] - 10, picture.shape[0] - 10, 64)
    colour_key(figure, channels)
    return figure


def _title(figure, x, y, text, xanchor="left", yanchor="bottom", **style):
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor=xanchor, yanchor=yanchor, **style)


def _grey(stain, low, high):
    """Convert one stain (..., H, W) to grey (..., H, W, 3) uint8, black at `low` and white at `high`."""
    shown = np.clip((stain - low) / max(high - low, 1), 0, 1) ** GAMMA
    return np.repeat((255 * shown).astype(np.uint8)[..., None], 3, axis=-1)


def _panels(image, limits, merged):
    """Lay out every stain of `image` (C, H, W) in grey between its limits (C, 2), then `merged`, two in a row."""
    grey = [_grey(stain, *ends) for stain, ends in zip(image, limits, strict=True)]
    return sheet(np.pad([*grey, merged], [(0, 0), (0, GAP_PX), (0, GAP_PX), (0, 0)]), 2)


def _log(values):
    return np.log10(np.maximum(values, 1))


def _histograms(figure, image, channels):
    """Distribution of the raw values of each stain on axes of its own, below the picture of `figure`."""
    edges = np.linspace(_log(image.min()), _log(image.max()), 100)
    for name, stain, colour in zip(channels, image, channel_colours(channels), strict=True):
        figure.add_scatter(
            x=edges[:-1],
            y=np.histogram(_log(stain), edges)[0] / stain.size,
            xaxis="x2",
            yaxis="y2",
            name=name,
            line={"color": f"rgb{colour}", "shape": "hv", "width": 2},
            hoverinfo="skip",
        )
    ticks = [tick for tick in RAW_TICKS if edges[1] + 0.05 < np.log10(tick) < edges[-1] - 0.05]
    highest = max(max(trace.y) for trace in figure.data[-len(channels) :])
    figure.update_layout(
        xaxis2={
            "anchor": "y2",
            "tickvals": np.log10(ticks),
            "ticktext": [f"{tick:,}" for tick in ticks],
            "title": {"text": "raw value of a pixel", "standoff": 4},
            "gridcolor": GRID,
        },
        yaxis2={"anchor": "x2", "domain": [0, 0.18], "range": [0, 1.5 * highest], "visible": False},
        showlegend=True,
        legend={"y": 0.235, "yanchor": "top"},
    )


def compounds_by_week(wells):
    """Show the number of treatments of every compound in every week, in the colour of the mechanism.

    Parameters
    ----------
    wells : DataFrame, one row per well
        Columns `batch well compound concentration_um moa role`; only wells of the role "treatment" count.

    Returns
    -------
    plotly.graph_objects.Figure
        One row per compound, sorted by mechanism; one column per week.
    """
    treated = wells[wells["role"] == "treatment"]
    weeks = sorted(set(treated["batch"]), key=lambda week: (len(week), week))  # Week10 after Week9
    moas = in_palette_order(treated["moa"])
    compounds = [(moa, name) for moa in moas for name in sorted(set(treated["compound"][treated["moa"] == moa]))]
    z = np.full((len(compounds), len(weeks)), np.nan)
    text, about = np.full((2, *z.shape), "", object)
    for (moa, compound, week), group in treated.groupby(["moa", "compound", "batch"]):
        place = compounds.index((moa, compound)), weeks.index(week)
        doses = sorted(set(group["concentration_um"]))
        z[place] = moas.index(moa)
        text[place] = str(len(doses))
        about[place] = f"{compound}, {week}<br>{moa}<br>{_doses(doses)}, {len(group)} wells"
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=weeks,
            y=[f"{compound} ({moa_code(moa)})" for moa, compound in compounds],
            text=text,
            customdata=about,
            texttemplate="%{text}",
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            showscale=False,
            xgap=2,
            ygap=1,
            **discrete_scale([moa_colour(moa) for moa in moas]),
        )
    )
    ends = np.cumsum([sum(moa == other for other, _ in compounds) for moa in moas])[:-1] - 0.5
    for end in ends:
        figure.add_hline(y=end, line={"color": NEUTRAL, "width": 1})
    bare(figure, height=80 + 19 * len(compounds))
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11}, showgrid=False, dtick=1)
    figure.update_xaxes(side="top", type="category")
    return figure


def _doses(doses):
    unit = "dose" if len(doses) == 1 else "doses"
    return f"{len(doses)} {unit} ({', '.join(f'{dose:g}' for dose in doses)} µM)"
