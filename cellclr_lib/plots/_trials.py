"""Share between the figures of a sweep which trials count, how columns are named, and where ticks stand."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from scipy.stats import spearmanr

from cellclr_lib.plots.style import ACCENTS, NEUTRAL

# What a trial is judged by: title, factor to the drawn unit, unit, and an arrow where one direction is better.
MEASURES = {
    "retrieval": ("replicate retrieval", 100, "%", " ↑"),
    "week_accuracy": ("week accuracy", 100, "%", " ↓"),
    "nsc": ("NSC", 100, "%", " ↑"),
    "nscb": ("NSCB", 100, "%", " ↑"),
    "top1": ("top-1", 100, "%", ""),
    "loss": ("NT-Xent loss", 1, "", ""),
}
SETTINGS = {"temperature": "temperature", "batch_size": "batch size", "seed": "seed"}
LOGARITHMIC = {"temperature", "batch_size", "lr", "weight_decay"}
# Columns of results and history that are neither a setting nor a measure.
BOOKKEEPING = {"epoch", "epochs", "cells_seen", "seconds", "checkpoint_path", "error", "trial", "trial_id", "rank"}
# Dark violet vanishes on black and light yellow on white: both ends of Plasma are cut off.
SCALE = [[x, sample_colorscale("Plasma", [0.25 + 0.6 * x])[0]] for x in np.linspace(0, 1, 9).tolist()]
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
MANY = 6  # from more distinct values on a setting counts as continuous


def finished(results: pd.DataFrame) -> pd.DataFrame:
    """Select the trials that ended with a score; their index is kept.

    Parameters
    ----------
    results : DataFrame, one row per trial
        Column `retrieval` and, if there is one, `error`: empty or missing where all went well.

    Returns
    -------
    DataFrame
    """
    fine = results["retrieval"].notna() if "retrieval" in results else pd.Series(False, index=results.index)
    if "error" in results:
        fine &= results["error"].isna() | (results["error"] == "")
    return results[fine]


def offered(table: pd.DataFrame, columns: Iterable[str], chosen: str) -> list[str]:
    """List those of `columns` that hold a value; raise ValueError if the `chosen` one is not among them."""
    known = [name for name in columns if name in table and table[name].notna().any()]
    if chosen not in known:
        raise ValueError(f"no finished trial has {chosen!r}; there is {', '.join(known) or 'nothing'}")
    return known


def settings_of(trials: pd.DataFrame) -> list[str]:
    """Name the columns that say what a trial tried: those of every sweep, then further ones."""
    return [name for name in SETTINGS if name in trials] + further(trials)


def further(trials: pd.DataFrame) -> list[str]:
    """Name the numeric columns that were varied and that not every sweep has."""
    known = {*SETTINGS, *MEASURES, *BOOKKEEPING}
    return [
        name
        for name in trials
        if name not in known and pd.api.types.is_numeric_dtype(trials[name]) and trials[name].nunique() > 1
    ]


def title(column: str) -> str:
    """Write name, unit and direction of a measure: "replicate retrieval, % ↑"."""
    name, _, unit, arrow = MEASURES[column]
    return name + (f", {unit}" if unit else "") + arrow


def setting(trial: pd.Series, columns: Iterable[str]) -> str:
    """Write the settings of one trial in words: "temperature 0.1, batch size 64, seed 0"."""
    return ", ".join(f"{plain(name)} {number(trial[name])}" for name in columns)


def plain(name: str) -> str:
    """Write the name of a setting without underscores."""
    return SETTINGS.get(name, name.replace("_", " "))


def number(value: object) -> str:
    """Write a number in its shortest form; anything else as it is."""
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)


def about(trial: pd.Series, columns: Iterable[str]) -> str:
    """Write the hover text of one trial: its settings, then a line per known score."""
    lines = [
        f"{name} {factor * trial[c]:.3g} {unit}".strip()
        for c, (name, factor, unit, _) in MEASURES.items()
        if c in trial and pd.notna(trial[c])
    ]
    return "<br>".join([setting(trial, columns), *lines])


def looks(table: pd.DataFrame) -> tuple[dict[float, str], dict[float, int]]:
    """Choose the colour of each temperature, and the number of the dash and marker of each batch size.

    Returns
    -------
    dict of float to str, dict of float to int
        Beyond five batch sizes all share one dash.
    """
    temperatures, sizes = (np.sort(table[name].dropna().unique()) for name in ("temperature", "batch_size"))
    colours: Sequence[str] = ACCENTS
    if len(temperatures) > len(ACCENTS):
        colours = sample_colorscale(SCALE, axis("temperature", temperatures)["place"])
    marks = {size: i if len(sizes) <= len(DASHES) else 0 for i, size in enumerate(sizes)}
    return dict(zip(temperatures, colours, strict=False)), marks


def levels(values: pd.Series) -> tuple[list[str], np.ndarray]:
    """Name the values of a setting, or five bins if they are many, and find which of them each trial has.

    Parameters
    ----------
    values : Series, one per trial

    Returns
    -------
    list of str, ndarray of int
        In rising order; one number per trial.
    """
    if values.nunique() > MANY:
        bins = pd.qcut(values, 5, duplicates="drop").cat
        return [f"{b.left:.2g} to {b.right:.2g}" for b in bins.categories], bins.codes.to_numpy()
    found = np.sort(values.unique())
    return [f"{value:g}" for value in found], np.searchsorted(found, values)


def axis(name: str, values: Any) -> dict[str, Any]:
    """Place one column on an axis from 0 to 1, logarithmic where that suits it.

    Parameters
    ----------
    name : str
        Of the column. Settings in `LOGARITHMIC`, and others above zero that span more than a factor of thirty, are
        placed by their logarithm.
    values : array-like, one per trial
        In the unit to be shown; NaN stays NaN.

    Returns
    -------
    dict
        ``place`` (ndarray, one per trial), ``ticks`` (ndarray, in [0, 1]), ``labels`` (list of str) and ``log``.
    """
    values = np.asarray(values, float)
    low, high = np.nanmin(values), np.nanmax(values)
    is_setting = name not in MEASURES
    log = bool(is_setting and low > 0 and low < high and (name in LOGARITHMIC or high / low > 30))
    found = np.unique(values[np.isfinite(values)])
    ticks = found if is_setting and len(found) <= MANY else round_ticks(low, high, log)
    unit = " %" if not is_setting and MEASURES[name][2] else ""

    def place(x: np.ndarray) -> np.ndarray:
        if low == high:
            return np.where(np.isfinite(x), 0.5, np.nan)
        a, b, c = (np.log(v) if log else v for v in (x, low, high))
        return (a - b) / (c - b)

    return {"place": place(values), "ticks": place(ticks), "labels": [f"{t:.4g}{unit}" for t in ticks], "log": log}


def round_ticks(low: float, high: float, log: bool = False) -> np.ndarray:
    """Choose a handful of round numbers between two ends, or the ends where no two round ones fit."""
    if log:
        tens = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        ticks = tens if len(tens) > 4 else np.outer(tens, (1, 2, 5)).ravel()
    else:
        rough = (high - low) / 5 or 1.0
        power = 10.0 ** np.floor(np.log10(rough))
        step = power * next(s for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
        ticks = np.round(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step, 12)
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    return ticks if len(ticks) > 1 else np.unique([low, high])


def spearman(first: Any, second: Any) -> float:
    """Compute Spearman's rank correlation; NaN for fewer than three pairs or where one is constant."""
    if len(first) < 3 or len(np.unique(first)) == 1 or len(np.unique(second)) == 1:
        return np.nan  # where scipy warns
    return float(spearmanr(first, second).statistic)


def add_menu(figure: go.Figure, buttons: Sequence[tuple[str, str, list[Any]]], active: int = 0) -> None:
    """Put a drop-down menu above the plot, at its left end.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Changed in place.
    buttons : list of (str, str, list)
        Label, Plotly's method ("restyle", "update") and its arguments.
    active : int
        Which of them describes the figure as it is.
    """
    menu = {
        "buttons": [{"label": label, "method": method, "args": args} for label, method, args in buttons],
        "active": active,
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "bordercolor": NEUTRAL,
    }
    figure.update_layout(updatemenus=[menu], margin={"l": 10, "r": 10, "t": 50, "b": 10})
