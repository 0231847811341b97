"""Draw what the real screen costs, and real scores beside simulated and published ones (chapter 9)."""

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellclr_lib.plots.scores import METHOD_NAMES, METRICS
from cellclr_lib.plots.style import ACCENTS, NEUTRAL, bare

STATUSES = ("read", "inferred", "unconfirmed")  # of a published figure
SCALE_S = {"1 s": 1, "1 min": 60, "1 h": 3600, "1 day": 86400, "1 month": 30 * 86400, "1 year": 365 * 86400}
BAND = "rgba(128,128,128,0.25)"


def duration(seconds):
    """Write a length of time as a person says it: "40 s", "12 min", "3.1 h", "9 days", "2.4 years".

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
    """
    for unit, length, digits in (("s", 1, 0), ("min", 60, 0), ("h", 3600, 1), ("days", 86400, 0)):
        limit = {"s": 90, "min": 90 * 60, "h": 48 * 3600, "days": 400 * 86400}[unit]
        if seconds < limit:
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds / SCALE_S['1 year']:,.1f} years"


def stage_times(times):
    """Show how long each stage takes, as bars on a logarithmic axis of seconds to years.

    Parameters
    ----------
    times : DataFrame, one row per stage
        Columns `stage`, `seconds` (> 0) and `arithmetic` (how they were found, shown on hover).

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a time is not positive: it has no place on a logarithmic axis.
    """
    seconds = times["seconds"].to_numpy(dtype=float)
    if not (seconds > 0).all():
        raise ValueError(f"seconds are {seconds.tolist()}; expected positive numbers")
    spans = {name: length for name, length in SCALE_S.items() if length <= 10 * seconds.max()}
    start = min(1.0, seconds.min() / 2)
    figure = go.Figure(
        go.Bar(
            x=seconds - start,  # on top of the base: a bar of a logarithmic axis cannot begin at 0
            y=[_lines(name) for name in times["stage"]],
            base=start,
            orientation="h",
            marker_color=ACCENTS[0],
            text=[duration(value) for value in seconds],
            textposition="outside",
            cliponaxis=False,
            customdata=np.column_stack([times["arithmetic"], times["stage"]]),
            hovertemplate="%{customdata[1]}: %{text}<br>%{customdata[0]}<extra></extra>",
        )
    )
    bare(figure, height=90 + 46 * len(times), margin={"l": 10, "r": 70, "t": 10, "b": 10})
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(
        type="log",
        range=[np.log10(start), np.log10(seconds.max()) + 0.9],
        tickvals=list(spans.values()),
        ticktext=list(spans),
    )
    return figure


def real_among_draws(table, totals, central=0.9):
    """Show scores of a real sample among those of simulated draws of its wells, a strip per method and score.

    Parameters
    ----------
    table : DataFrame
        Columns `draw method nsc nscb`: right answers (counts), `draw` being "real" once per method.
    totals : dict of str to int
        {"nsc": …, "nscb": …}: number of queries.
    central : float
        Share of the draws that the grey band holds, from percentiles.

    Returns
    -------
    plotly.graph_objects.Figure
        For each strip a band, the draws as dots and the real score as a diamond, in per cent.

    Raises
    ------
    ValueError
        If a method has no real score, or more than one, or no draws.
    """
    strips = [(method, metric) for method in table["method"].unique() for metric in totals]
    figure = go.Figure()
    for place, (method, metric) in enumerate(strips):
        rows = table[table["method"] == method]
        is_real = (rows["draw"].astype(str) == "real").to_numpy()
        share = 100 * rows[metric].to_numpy(dtype=float) / totals[metric]
        if is_real.sum() != 1 or is_real.all():
            raise ValueError(
                f"method {method!r} has {is_real.sum()} real scores and {(~is_real).sum()} draws; "
                "expected one real score and some draws"
            )
        low, high = np.percentile(share[~is_real], [50 * (1 - central), 50 * (1 + central)])
        figure.add_shape(
            type="rect", x0=low, x1=high, y0=place - 0.32, y1=place + 0.32, fillcolor=BAND, line_width=0,
            layer="below",
        )  # fmt: skip
        # Dots side by side rather than on top of each other; the height means nothing.
        shift = 0.22 * np.resize([0, 1, -1, 0.5, -0.5], (~is_real).sum())
        shared = {"mode": "markers", "showlegend": place == 0}
        figure.add_scatter(
            x=share[~is_real],
            y=place + shift,
            name="simulated draws",
            legendgroup="draws",
            marker={"color": ACCENTS[0], "size": 7, "opacity": 0.75},
            hovertemplate="simulated draw: %{x:.1f} %<extra></extra>",
            **shared,
        )
        figure.add_scatter(
            x=share[is_real],
            y=[place],
            name="real crops",
            legendgroup="real",
            marker={"color": ACCENTS[2], "size": 15, "symbol": "diamond", "line": {"color": NEUTRAL, "width": 1}},
            hovertemplate=f"real: %{{x:.1f}} %<br>band: {low:.1f} to {high:.1f} %<extra></extra>",
            **shared,
        )
    height = 120 + 62 * len(strips)
    bare(figure, height=height, **_legend_above(height))
    names = [_lines(f"{METHOD_NAMES.get(method, method)}, {METRICS[metric]}") for method, metric in strips]
    figure.update_yaxes(
        tickvals=list(range(len(strips))), ticktext=names, range=[len(strips) - 0.5, -0.5], zeroline=False
    )
    figure.update_xaxes(title="answered right, %", rangemode="tozero", zeroline=False)
    return figure


def published_table(published):
    """Tabulate published figures for readers: what is not confirmed stays without a number.

    Parameters
    ----------
    published : DataFrame
        As `published_and_measured` takes it, with `supervision` and `post` as well.

    Returns
    -------
    DataFrame of str
    """
    words = {
        metric: [
            "not confirmed" if status == "unconfirmed" else f"{value:g}" + " (inferred)" * (status == "inferred")
            for value, status in zip(published[metric], published[f"{metric}_status"], strict=True)
        ]
        for metric in ("nsc", "nscb")
    }
    return pd.DataFrame(
        {
            "method": published["method"],
            "NSC, %": words["nsc"],
            "NSCB, %": words["nscb"],
            "labels": published["supervision"],
            "post": published["post"],
        }
    )


def published_and_measured(groups):
    """NSC and NSCB of groups of results that must not be compared with each other: one panel per group.

    Parameters
    ----------
    groups : dict of str to DataFrame
        Title → one row per result: `method`, `nsc` and `nscb` in per cent (NaN: none); optional `nsc_status` and
        `nscb_status` (one of `STATUSES`; an inferred figure is drawn hollow), and `nsc_low nsc_high nscb_low
        nscb_high` (ends of an interval, per cent). Empty groups are left out.

    Returns
    -------
    plotly.graph_objects.Figure
        Panels below each other, each with an axis of its own from 0 to 100 %.

    Raises
    ------
    ValueError
        If a status is unknown or an unconfirmed figure carries a number.
    """
    groups = {title: rows.reset_index(drop=True) for title, rows in groups.items() if len(rows)}
    sizes = [len(rows) for rows in groups.values()]
    height = 38 * sum(sizes) + 96 * len(sizes) + 60
    figure = make_subplots(
        len(groups),
        1,
        subplot_titles=[f"<b>{title}</b>" for title in groups],
        row_heights=[size + 0.6 for size in sizes],
        vertical_spacing=78 / height,
    )
    for panel, rows in enumerate(groups.values(), start=1):
        for metric, colour, symbol, shift in (
            ("nsc", ACCENTS[0], "circle", -0.14),
            ("nscb", ACCENTS[1], "diamond", 0.14),
        ):
            status = _statuses(rows, metric)
            figure.add_scatter(
                x=rows[metric],
                y=rows.index + shift,
                mode="markers",
                name=METRICS[metric],
                legendgroup=metric,
                showlegend=panel == 1,
                error_x=_interval(rows, metric),
                marker={
                    "color": colour,
                    "size": 11,
                    "symbol": [symbol + "-open" * (word == "inferred") for word in status],
                    "line": {"color": colour, "width": 2},
                },
                text=rows["method"] + status.map({"inferred": " (inferred)"}).fillna(""),
                hovertemplate="%{text}: " + METRICS[metric] + " %{x:.1f} %<extra></extra>",
                row=panel,
                col=1,
            )
        names = [_lines(name) for name in rows["method"]]
        figure.update_yaxes(
            tickvals=list(rows.index), ticktext=names, range=[len(rows) - 0.45, -0.55], row=panel, col=1
        )
    bare(figure, height=height, **_legend_above(height, title=24))
    figure.update_xaxes(range=[0, 101], zeroline=False)
    figure.update_xaxes(title="answered right, %", row=len(groups))
    figure.update_yaxes(zeroline=False)
    figure.update_annotations(x=0, xanchor="left", xref="paper", font_size=13)
    return figure


def _statuses(rows, metric):
    """Status of every figure; read where none is given, for those we measured."""
    status = rows.get(f"{metric}_status", pd.Series("read", index=rows.index))
    if unknown := sorted(set(status) - set(STATUSES)):
        raise ValueError(f"{metric}_status is {unknown[0]!r}; expected one of {', '.join(STATUSES)}")
    if (bad := (status == "unconfirmed") & rows[metric].notna()).any():
        raise ValueError(
            f"the {METRICS[metric]} of {rows['method'][bad].iloc[0]!r} is unconfirmed; leave it empty"
        )
    return status


def _interval(rows, metric):
    if f"{metric}_low" not in rows:
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": rows[f"{metric}_high"] - rows[metric],
        "arrayminus": rows[metric] - rows[f"{metric}_low"],
        "width": 0,
        "thickness": 1.5,
    }


def _lines(name, width=18):
    """Break a long name into several lines, so that a phone still has room for the marks."""
    return "<br>".join(textwrap.wrap(name, width, break_long_words=False, break_on_hyphens=False))


def _legend_above(height, title=0):
    """Layout of a legend above the plot and, where there is one, above its title of `title` px."""
    top = 40 + title
    place = {"y": 1 + (title + 4) / (height - top - 60), "yanchor": "bottom", "x": 0}
    return {"legend": place, "margin": {"l": 10, "r": 10, "t": top, "b": 10}}
