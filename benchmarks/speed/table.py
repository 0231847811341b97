"""Write the tables of `README.md` and `SCALE.md` from the results: what must be reached, what was, every row."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from speed import scale
from speed.measure import RESULTS, number

README, SCALE = (Path(__file__).resolve().parent.parent / name for name in ("README.md", "SCALE.md"))
BEGIN, END = "<!-- {}: made by `python benchmarks/compare.py`, do not edit -->", "<!-- end of {} -->"
ROWS = {
    "views": "Two views",
    "nt_xent": "NT-Xent",
    "training_step": "A training step",
    "precision": "Training in bfloat16",
    "embedding": "Embedding a store",
    "crops": "Crops from fields",
    "profiles": "Profiles to scores",
    "scaling": "Scaling",
}
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Claim:
    """Hold one line of the first table: a number of the results and what it must reach."""

    text: str
    row: str  # the CSV
    case: str  # its rows whose case begins with this; where there are several, the worst counts
    variant: str
    column: str
    must: str  # ">= 3", or "<= 0.3"
    stretch: str = ""
    unit: str = ""


CPU = (
    Claim("two views: times albumentations", "views", "", "albumentations", "ratio", ">= 3", ">= 6", "×"),
    Claim("two views: times kornia", "views", "", "kornia", "ratio", ">= 10", "", "×"),
    Claim("two views: times torchvision v2", "views", "", "torchvision v2", "ratio", ">= 10", "", "×"),
    *(
        Claim(f"NT-Xent, N = {n}: times lightly", "nt_xent", f"N = {n}", "lightly", "ratio", ">= 2", stretch, "×")
        for n, stretch in ((256, ""), (512, ""), (1024, ">= 4"), (2048, ">= 4"), (4096, ">= 4"))
    ),
    Claim("NT-Xent, N = 8192: memory it adds", "nt_xent", "N = 8192", "cellclr", "memory_gb", "", "", "GB"),
    Claim("… lightly's", "nt_xent", "N = 8192", "lightly", "memory_gb", "", "", "GB"),
    Claim("NT-Xent: largest difference from lightly", "nt_xent", "", "lightly", "difference", "<= 1e-5"),
    Claim(
        "training step in bf16: not the encoder",
        "training_step",
        "bf16",
        "cellclr",
        "not_encoder",
        "<= 0.1",
        "<= 0.05",
    ),
    Claim(
        "training step in fp32: not the encoder",
        "training_step",
        "fp32",
        "cellclr",
        "not_encoder",
        "<= 0.1",
        "<= 0.05",
    ),
    Claim(
        "training step in bf16: times the paper's way",
        "training_step",
        "bf16",
        "paper's way",
        "ratio",
        ">= 3",
        ">= 4",
        "×",
    ),
    Claim(
        "training step in fp32: times the paper's way",
        "training_step",
        "fp32",
        "paper's way",
        "ratio",
        ">= 1.2",
        "",
        "×",
    ),
    Claim(
        "training in bf16: replicate retrieval lost, over noise",
        "precision",
        "all seeds",
        "bf16",
        "over_noise",
        "<= 1",
    ),
    Claim("embedding: share of the encoder's rate", "embedding", "", "encoder alone", "ratio", ">= 0.95"),
    Claim("crops: full-size fields per second", "crops", "24", "cellclr", "rate", ">= 3", ">= 6"),
    Claim("nuclei: F1 against hand-drawn masks", "crops", "nuclei", "cellclr", "f1", ">= 0.9"),
    Claim(
        "450,000 cells to NSC, NSCB and TVN", "profiles", "450,000", "cellclr", "seconds", "<= 30", "<= 12", "s"
    ),
    Claim("… highest memory", "profiles", "450,000", "cellclr", "memory_gb", "<= 8", "", "GB"),
    Claim("mean of wells: times the per-row loop", "profiles", "mean", "per-row loop", "ratio", ">= 50", "", "×"),
    Claim("neighbours: times the per-row loop", "profiles", "NSC", "per-row loop", "ratio", ">= 50", "", "×"),
)
GPU = (
    Claim("training, resident: share of the encoder's rate", "gpu", "resident", "cellclr", "of_encoder", ">= 0.9"),
    Claim("training, streamed: share of the encoder's rate", "gpu", "streamed", "cellclr", "of_encoder", ">= 0.9"),
    Claim(
        "encoder: share of the measured bf16 matrix rate", "gpu", "resident", "encoder alone", "of_matrix_rate", ""
    ),
    Claim("views: share of the step", "gpu", "resident", "views", "of_step", "<= 0.05"),
    Claim("one epoch over 450,000 cells", "gpu", "epoch", "cellclr", "seconds", "", "", "s"),
    Claim("… highest memory on the GPU", "gpu", "epoch", "cellclr", "memory_gb", "", "", "GB"),
)


def write_documents(results=RESULTS):
    """Put the generated parts of both documents between their markers."""
    for document, parts in generated(results).items():
        text = document.read_text()
        for name, body in parts.items():
            begin, end = BEGIN.format(name), END.format(name)
            before, rest = text.split(begin)
            text = f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}"
        document.write_text(text)


def generated(results=RESULTS):
    """Make {document: {name of the marker: Markdown}}."""
    rows = "\n\n".join(f"### {title}\n\n{detail(row, results)}" for row, title in ROWS.items())
    gpu = f"{claims(GPU, results)}\n\n{detail('gpu', results)}"
    return {
        README: {"cpu": claims(CPU, results), "gpu": gpu, "rows": rows},
        SCALE: {"sizes": scale.sizes(), "scaling": numbers("scaling", results), "times": scale.times(results)},
    }


def claims(wanted=CPU, results=RESULTS):
    """Tabulate what must be reached and what was."""
    lines = ["| work | must reach | reached | stretch | holds |", "|---|---|---|---|---|"]
    for claim in wanted:
        value = reached(claim, results)
        shown = NOT_MEASURED if value is None else f"{number(value)} {claim.unit}".rstrip()
        holding = ""
        if value is not None and claim.must:
            holding = "yes" if holds(value, claim.must) else "**no**"
        if claim.stretch and holding == "yes" and holds(value, claim.stretch):
            holding = "yes, and the stretch"
        lines.append(f"| {claim.text} | {_sign(claim.must)} | {shown} | {_sign(claim.stretch)} | {holding} |")
    return "\n".join(lines)


def reached(claim, results=RESULTS):
    """Look up the number that a claim is about, the worst where there are several; None if it was not measured."""
    path = Path(results) / f"{claim.row}.csv"
    if not path.exists():
        return None
    table = pd.read_csv(path)
    here = table["case"].str.startswith(claim.case) & (table["variant"] == claim.variant)
    values = table.loc[here, claim.column].dropna() if claim.column in table else pd.Series(dtype=float)
    if values.empty:
        return None
    return float(values.max() if claim.must.startswith("<=") else values.min())


def holds(value, condition):
    """Test whether `value` fulfils a condition such as ">= 3"."""
    sign, limit = condition.split()
    return value >= float(limit) if sign == ">=" else value <= float(limit)


def detail(row, results=RESULTS):
    """Write what one row compares (the docstring of its file), where it was measured, and all its numbers."""
    module = importlib.import_module(row if row == "gpu" else f"speed.{row}")
    record, where = Path(results) / f"{row}.json", []
    if record.exists():
        about = json.loads(record.read_text())
        where = [
            f"{about['date'][:10]}, commit {about['commit'][:9]}{' and changes' if about['changed'] else ''}",
            about.get("gpu", f"{about['processor']}, {about['cores']} cores"),
            *(f"{name} {version}" for name, version in (about["versions"] | about["peers"]).items()),
            f"{about['minutes']} min",
        ]
    return "\n\n".join([_prose(module), *(["; ".join(where) + "."] if where else []), numbers(row, results)])


def numbers(row, results=RESULTS):
    """Tabulate all numbers of one row."""
    path = Path(results) / f"{row}.csv"
    return _markdown(pd.read_csv(path)) if path.exists() else "Not measured."


def _prose(module):
    return module.__doc__.strip().replace("``", "`")


def _markdown(table):
    lines = ["| case | variant | seconds | fastest … slowest | rate | ratio |", "|---|---|---|---|---|---|"]
    more = list(table.columns[9:])  # beyond what every row has
    if more:
        lines = [
            f"{lines[0]} {' | '.join(name.replace('_', ' ') for name in more)} |",
            lines[1] + "---|" * len(more),
        ]
    for _, row in table.iterrows():
        cells = [
            row["case"],
            row["variant"],
            number(row["seconds"]),
            f"{number(row['fastest'])} … {number(row['slowest'])}" if row["runs"] > 1 else "one run",
            f"{number(row['rate'])} {row['unit']}/s",
            f"{row['ratio']:.2f}",
            *("" if pd.isna(row[name]) else number(row[name]) for name in more),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sign(condition):
    return condition.replace(">=", "≥").replace("<=", "≤")


if __name__ == "__main__":
    write_documents()
