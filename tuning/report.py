"""Write the report of a sweep: one HTML page that holds everything, plotly.js included, and needs no network."""

import html
from pathlib import Path

from plotly.offline import get_plotlyjs

from cellclr_lib.plots import sweep_agreement, sweep_curves, sweep_heatmap, sweep_parallel

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin-top: 2.5rem; }}
pre, .table {{ overflow-x: auto; }}
pre {{ padding: 0.8rem; border: 1px solid #8888; border-radius: 4px; }}
table {{ border-collapse: collapse; font-size: 0.85rem; }}
th, td {{ padding: 0.25rem 0.6rem; text-align: right; border-bottom: 1px solid #8884; }}
</style>
<script>{plotly}</script>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write_report(folder, plan, results, history, ranked, agreement, best, minutes):
    """Write ``report.html`` in the folder of a sweep.

    Parameters
    ----------
    folder : Path
    plan : Plan
    results, history, ranked : DataFrame
        See `tuning.results`.
    agreement : dict
        Rank correlations of retrieval with NSC and NSCB.
    best : tuple of Path and str, or None
        File of the best settings and the command that trains with it.
    minutes : float
        How long the sweep took.

    Returns
    -------
    Path
    """
    finished = results[results["error"] == ""]
    parts = [
        f"<p>{len(finished)} of {plan.count} trials, {plan.cells:,} cells seen by each that was not stopped "
        f"early, {minutes:.1f} minutes; search {plan.search}, scheduler {plan.scheduler}. Trials are ranked on "
        "replicate retrieval: whether the nearest well on the other plates of its week holds the same treatment. "
        "That needs no mechanism of action. NSC and NSCB were computed once, at the end, and chose nothing.</p>"
    ]
    if best:
        file, command = best
        parts += [
            "<h2>Best settings</h2>",
            f"<pre>{html.escape(command)}</pre>",
            f"<details><summary>{file.name}</summary><pre>{html.escape(file.read_text())}</pre></details>",
            "<h2>Settings, best first</h2>",
            _table(ranked),
        ]
    if len(finished):
        several = len(finished) > 1
        parts += [
            "<h2>Temperature and batch size</h2>",
            _figure(sweep_heatmap(results)),
            *(["<h2>All settings and scores</h2>", _figure(sweep_parallel(results))] if several else []),
            "<h2>Learning curves</h2>",
            _figure(sweep_curves(history)),
        ]
        if finished["nscb"].notna().sum() > 1:
            text = ", ".join(
                f"{value:.2f} with {name.upper()}" for name, value in agreement.items() if value == value
            )
            parts += [
                "<h2>Does retrieval choose what is reported?</h2>",
                f"<p>Rank correlation of retrieval over trials: {text or 'not defined'}.</p>",
                _figure(sweep_agreement(results)),
            ]
    parts += ["<h2>Every trial</h2>", _table(results.drop(columns="checkpoint_path"))]
    page = Path(folder) / "report.html"
    title = html.escape(f"Sweep {Path(folder).name}")
    page.write_text(PAGE.format(title=title, plotly=get_plotlyjs(), body="\n".join(parts)))
    return page


def _figure(figure):
    return figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True})


def _table(table):
    return (
        f'<div class="table">{table.to_html(index=False, float_format="{:.4g}".format, na_rep="", border=0)}</div>'
    )
