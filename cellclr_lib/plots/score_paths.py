"""Show scores along a path of settings, such as λ or a number of wells (explained in chapters 7 and 9)."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellclr_lib.plots.style import NEUTRAL, bare


def score_path(
    table: pd.DataFrame,
    x_title: str,
    colours: dict[str, str],
    *,
    marks: dict[str, tuple[float, str]] | None = None,
    y_title: str = "answered right, %",
) -> go.Figure:
    """Show scores against λ or a number of wells, on a logarithmic axis; one panel per kind of features.

    Parameters
    ----------
    table : DataFrame
        Columns `x` (> 0; inf is drawn at the right end), `score` (fraction), `series`, `panel`. With `low` and
        `high` (fractions) a band is drawn; several rows at one `x` are drawn as points, the line joins means.
    x_title, y_title : str
    colours : dict of str to str
        Series → colour.
    marks : dict of str to (float, str), optional
        Panel → position and text of a dashed line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    panels = list(dict.fromkeys(table["panel"]))
    figure = make_subplots(1, len(panels), shared_yaxes=True, subplot_titles=panels, horizontal_spacing=0.03)
    finite = table["x"][np.isfinite(table["x"])]
    end = finite.max() * 10
    table = table.assign(at=table["x"].replace(np.inf, end), score=100 * table["score"])
    for col, panel in enumerate(panels, start=1):
        place = {"row": 1, "col": col}
        for series, colour in colours.items():
            rows = table[(table["panel"] == panel) & (table["series"] == series)].sort_values("at")
            if "low" in rows and rows["low"].notna().any():
                figure.add_scatter(
                    x=np.concatenate([rows["at"], rows["at"][::-1]]),
                    y=100 * np.concatenate([rows["high"], rows["low"][::-1]]),
                    mode="lines",
                    fill="toself",
                    fillcolor=colour,
                    opacity=0.13,
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                    legendgroup=series,
                    **place,
                )
            means = rows.groupby("at")["score"].mean()
            if len(means) < len(rows):
                dots = {"color": colour, "size": 5, "opacity": 0.5}
                shown = {"showlegend": False, "legendgroup": series, "hoverinfo": "skip"}
                figure.add_scatter(x=rows["at"], y=rows["score"], mode="markers", marker=dots, **shown, **place)
            figure.add_scatter(
                x=means.index,
                y=means,
                mode="lines+markers",
                name=series,
                legendgroup=series,
                showlegend=col == 1,
                line={"color": colour},
                text=["∞" if x == end and np.isinf(table["x"]).any() else f"{x:g}" for x in means.index],
                hovertemplate="%{text}: %{y:.1f} %<extra>%{fullData.name}</extra>",
                **place,
            )
        if marks and panel in marks:
            at, text = marks[panel]
            figure.add_vline(x=at, line={"dash": "dash", "color": NEUTRAL}, **place)
            # Annotations of a logarithmic axis lie at the logarithm, shapes do not.
            where = {"x": np.log10(at), "y": 0.02, "yref": "y domain", "xanchor": "right", "yanchor": "bottom"}
            figure.add_annotation(text=text, showarrow=False, textangle=-90, **where, **place)
    bare(figure, height=430, legend={"y": -0.27})
    figure.update_xaxes(type="log", zeroline=False, dtick=1)
    if np.isinf(table["x"]).any():
        # Three ticks fit a panel on a phone: the smallest, one and infinity.
        ticks = {finite.min(): f"10<sup>{np.log10(finite.min()):.0f}</sup>", 1.0: "1", end: "∞"}
        figure.update_xaxes(tickvals=list(ticks), ticktext=list(ticks.values()), tickangle=0)
    figure.update_xaxes(title=x_title, col=(len(panels) + 1) // 2)
    figure.update_yaxes(title=y_title, col=1)
    return figure.update_annotations(font_size=13)
