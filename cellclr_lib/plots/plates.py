"""Show what lies where on a screen: plates, weeks, compounds (explained in chapter 1, the screen)."""

import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cellclr_lib.plots.style import MOA_COLOURS, NEUTRAL, bare, moa_colour

# Short names that fit into a well, so that nobody has to tell twelve colours apart.
MOA_CODES = {
    "DMSO": "−",
    "Actin disruptors": "Act",
    "Aurora kinase inhibitors": "Aur",
    "Cholesterol-lowering": "Chol",
    "DNA damage": "Dam",
    "DNA replication": "Rep",
    "Eg5 inhibitors": "Eg5",
    "Epithelial": "Epi",
    "Kinase inhibitors": "Kin",
    "Microtubule destabilizers": "Dest",
    "Microtubule stabilizers": "Stab",
    "Protein degradation": "Deg",
    "Protein synthesis": "Syn",
}
POSITIVE = "+"
PLATE_FORMATS = ((8, 12), (16, 24))  # rows and columns of plates with 96 and 384 wells
PALE = "rgba(128,128,128,0.10)"


PLATE_ROWS = tuple("ABCDEFGH")
PLATE_COLUMNS = tuple(range(1, 13))


def moa_code(moa: str) -> str:
    """Shorten a mechanism to three or four letters: "Eg5", "Stab"; "−" for DMSO and "?" where there is none.

    Examples
    --------
    >>> moa_code("Eg5 inhibitors"), moa_code("")
    ('Eg5', '?')
    """
    return MOA_CODES.get(moa, moa[:4] or "?")


def moa_plate_map(wells: pd.DataFrame, *, plates: Sequence[str] | None = None) -> go.Figure:
    """Show what each well holds: mechanism as colour and letters, compound and dose on hover; a menu of plates.

    Parameters
    ----------
    wells : DataFrame, one row per well
        Columns `plate well compound concentration_um moa role`, as `Screen.wells` has them.
    plates : sequence of str, optional
        Plates that the menu offers, the first one shown; all plates if not given.

    Returns
    -------
    plotly.graph_objects.Figure
        One heat map per plate below a pale one of all positions; legend entries are empty traces.

    Raises
    ------
    ValueError
        If a plate is not in `wells`, or a well's name is no row and column of a 96- or 384-well plate.

    Examples
    --------
    >>> wells = pd.DataFrame({"plate": "p1", "well": ["B02", "B03"], "compound": ["DMSO", "taxol"], "role":
    ...                       ["control", "treatment"], "concentration_um": [0.0, 0.3], "moa": ["DMSO", "Actin"]})
    >>> figure = moa_plate_map(wells)
    >>> figure.data[1].name
    'p1'
    """
    plates = list(dict.fromkeys(wells["plate"])) if plates is None else list(plates)
    if missing := [plate for plate in plates if plate not in set(wells["plate"])]:
        raise ValueError(f"no plate {missing[0]!r}: there are {', '.join(dict.fromkeys(wells['plate']))}")
    wells = wells[wells["plate"].isin(plates)]
    row, column, (n_rows, n_columns) = _positions(wells["well"])
    moas = in_palette_order(wells["moa"])

    empty = go.Heatmap(z=np.zeros((n_rows, n_columns)), colorscale=[[0, PALE], [1, PALE]])
    figure = go.Figure(empty.update(hovertemplate="%{y}%{x}: empty<extra></extra>"))
    for plate in plates:
        here = (wells["plate"] == plate).to_numpy()
        place = row[here], column[here]
        z = np.full((n_rows, n_columns), np.nan)
        text, about = np.full((2, n_rows, n_columns), "", object)
        z[place] = [moas.index(moa) for moa in wells["moa"][here]]
        text[place] = [_mark(well) for well in wells[here].itertuples()]
        about[place] = [_about(well) for well in wells[here].itertuples()]
        figure.add_heatmap(
            z=z,
            text=text,
            customdata=about,
            texttemplate="%{text}",
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            name=plate,
            **discrete_scale([moa_colour(moa) if moa else PALE for moa in moas]),
        )
    figure.update_traces(
        x=[str(i + 1) for i in range(n_columns)],
        y=list(string.ascii_uppercase[:n_rows]),
        xgap=2,
        ygap=2,
        showscale=False,
    )
    on_plates = [set(plates), *({plate} for plate in plates), *_legend(figure, wells)]
    shown = {plate: [plate in held for held in on_plates] for plate in plates}
    for trace, visible in zip(figure.data, shown[plates[0]], strict=True):
        trace.visible = visible
    menu = [
        {"label": plate, "method": "restyle", "args": [{"visible": visible}]} for plate, visible in shown.items()
    ]
    bare(
        figure,
        height=470,
        margin={"l": 10, "r": 10, "t": 76, "b": 10},
        updatemenus=[
            {
                "buttons": menu,
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "pad": {"b": 28},
                "bordercolor": NEUTRAL,
            }
        ],
        legend={"y": -0.04, "itemclick": False, "itemdoubleclick": False, "font": {"size": 12}},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, type="category", side="top")
    return figure


def _positions(names: pd.Series) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Find row and column (from 0) of wells such as "B02", and the shape of the smallest plate with them all."""
    parts = names.str.extract(r"^([A-P])(\d{1,2})$")
    if (odd := parts.isna().any(axis=1)).any():
        raise ValueError(f"a well is named {names[odd].iloc[0]!r}; expected row and column, such as 'B02'")
    row = parts[0].map(string.ascii_uppercase.index).to_numpy()
    column = parts[1].astype(int).to_numpy() - 1
    for n_rows, n_columns in PLATE_FORMATS:
        if row.max() < n_rows and column.min() >= 0 and column.max() < n_columns:
            return row, column, (n_rows, n_columns)
    raise ValueError(f"wells {names.min()} to {names.max()} fit on no plate of 96 or 384 wells")


def in_palette_order(moas: Iterable[str]) -> list[str]:
    """Sort the mechanisms that occur: DMSO first, then as in the palette, then others, none ("") last."""
    order = {moa: i for i, moa in enumerate(MOA_COLOURS)}
    return sorted(set(moas), key=lambda moa: (moa == "", order.get(moa, len(order)), moa))


def discrete_scale(colours: Sequence[str]) -> dict[str, Any]:
    """Make the colour scale of a heat map whose z = i means the i-th of `colours`."""
    n = len(colours)
    scale = [[edge / n, colour] for i, colour in enumerate(colours) for edge in (i, i + 1)]
    return {"colorscale": scale, "zmin": -0.5, "zmax": n - 0.5}


def _mark(well: Any) -> str:
    code = POSITIVE if well.role == "positive_control" else moa_code(well.moa)
    return code if well.role == "control" else f"{code}<br>{well.concentration_um:g}"


def _about(well: Any) -> str:
    content = well.compound if well.role == "control" else f"{well.compound}, {well.concentration_um:g} µM"
    kind = {"control": "negative control", "positive_control": f"positive control ({well.moa})"}
    return f"{well.well}: {content}<br>{kind.get(well.role, well.moa or 'no known mechanism')}<br>{well.plate}"


def _legend(figure: go.Figure, wells: pd.DataFrame) -> list[set[str]]:
    """Add an empty trace per kind of content, for the legend; return the plates that hold each."""
    kinds: dict[tuple[int, str, str, str], set[str]] = {}
    for well in wells.itertuples():
        if well.role == "positive_control":
            kind = (
                0,
                "positive",
                f"{POSITIVE}  positive control, {well.compound} {well.concentration_um:g} µM",
                well.moa,
            )
        else:
            name = well.moa or "no known mechanism"
            kind = (int(well.role != "control"), name, f"{moa_code(well.moa)}  {name}", well.moa)
        kinds.setdefault(kind, set()).add(well.plate)
    for _, _, name, moa in sorted(kinds):
        colour = moa_colour(moa) if moa else PALE
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": "square", "size": 12, "line": {"color": NEUTRAL, "width": 0.5}},
        )
    return [kinds[kind] for kind in sorted(kinds)]


def _plate(values: pd.Series) -> np.ndarray:
    """Place values by well name ("B02") on the grid of a 96-well plate, NaN where there is none."""
    grid = np.full((len(PLATE_ROWS), len(PLATE_COLUMNS)), np.nan)
    for well, value in values.items():
        grid[PLATE_ROWS.index(well[0]), int(well[1:]) - 1] = value
    return grid


def plate_map(table: pd.DataFrame, *, value: str = "cells", plates: int = 6) -> go.Figure:
    """Show the number of cells in every well, plate by plate (a menu), on one colour scale.

    Parameters
    ----------
    table : DataFrame, one row per cell
        Columns `plate`, `well`, `compound`, `concentration_um`.
    value : str
        What is counted, for the colour bar.
    plates : int
        How many plates the menu offers, spread over the screen.

    Returns
    -------
    plotly.graph_objects.Figure

    Examples
    --------
    >>> cells = pd.DataFrame({"plate": "p1", "well": ["B02", "B02", "B03"], "compound": "DMSO"})
    >>> cells["concentration_um"] = 0.0
    >>> int(plate_map(cells).data[0].z[1, 1])
    2
    """
    names = sorted(table["plate"].unique())
    names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, plates).astype(int))]
    counts = table[table["plate"].isin(names)].groupby(["plate", "well"]).size()
    content = table.groupby(["plate", "well"])[["compound", "concentration_um"]].first()
    figure = go.Figure()
    for i, plate in enumerate(names):
        text = np.full((len(PLATE_ROWS), len(PLATE_COLUMNS)), "", object)
        for well, row in content.loc[plate].iterrows():
            text[PLATE_ROWS.index(well[0]), int(well[1:]) - 1] = f"{row.compound} {row.concentration_um:g} µM"
        figure.add_heatmap(
            z=_plate(counts.loc[plate]),
            x=[str(c) for c in PLATE_COLUMNS],
            y=list(PLATE_ROWS),
            text=text,
            zmin=0,
            zmax=int(counts.max()),
            colorscale="Viridis",
            visible=i == 0,
            xgap=2,
            ygap=2,
            hovertemplate=f"well %{{y}}%{{x}}: %{{z}} {value}<br>%{{text}}<extra>{plate}</extra>",
            colorbar={"title": value, "outlinewidth": 0},
        )
    menu = [
        {"label": name, "method": "restyle", "args": [{"visible": [p == name for p in names]}]} for name in names
    ]
    bare(
        figure,
        height=420,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
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
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, type="category")
    return figure
