"""Run every chapter as a notebook with papermill, in the order of the table of contents.

    python book/run_chapters.py                    # quick: the parameters of book/smoke.yaml
    python book/run_chapters.py --params my.yaml   # yours
    python book/run_chapters.py views training     # only these chapters

leaves the executed notebooks and `times.csv` in `_build/papermill`. The parameter file holds one mapping per
chapter (`fields_to_cells: {epochs: 1}`); every name is checked against the chapter's parameters cell before
anything runs. The run stops at the first failing chapter, with its traceback last on the screen and exit
status 1; 2 is a parameter or chapter that does not exist.
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path

import jupytext
import papermill
import yaml
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parent.parent


def chapters(toc=REPOSITORY / "_toc.yml"):
    """List the chapters with code in reading order; pages without a kernel are left to the book build."""
    toc_entries = yaml.safe_load(toc.read_text())
    names = [toc_entries["root"]]
    parts = toc_entries.get("parts", [toc_entries])
    names += [entry["file"] for part in parts for entry in part["chapters"]]
    paths = [toc.parent / f"{name}.md" for name in names]
    return [path for path in paths if "kernelspec" in jupytext.read(path).metadata]


def to_notebook(chapter, folder):
    """Write `chapter` as a notebook into `folder` and return its path."""
    notebook = folder / f"{chapter.stem}.ipynb"
    jupytext.write(jupytext.read(chapter), notebook)
    return notebook


def check_parameters(parameters, notebooks):
    """Say which names of the parameter file no chapter has.

    Parameters
    ----------
    parameters : dict of str to dict
        Chapter → {name: value}.
    notebooks : dict of str to Path
        Chapter → notebook with a cell tagged `parameters`.

    Returns
    -------
    list of str
        One sentence per unknown chapter or parameter; empty when all is well.
    """
    problems = []
    for chapter, values in parameters.items():
        if chapter not in notebooks:
            problems.append(f"no chapter is called {chapter!r}: there are {', '.join(notebooks)}")
            continue
        known = papermill.inspect_notebook(str(notebooks[chapter]))
        for name in values or {}:
            if name not in known:
                problems.append(f"chapter {chapter!r} has no parameter {name!r}: it has {', '.join(known)}")
    return problems


def run(notebook, values, out, timeout_s):
    """Execute one notebook where the chapter lies; returns the seconds it took."""
    start = time.perf_counter()
    papermill.execute_notebook(
        str(notebook),
        str(out),
        parameters=values,
        cwd=str(REPOSITORY / "book"),
        progress_bar=False,
        execution_timeout=timeout_s,
    )
    return time.perf_counter() - start


def main(arguments=None):
    """Run chapters; exit status 0: all ran, else some failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("chapters", nargs="*", help="names of chapters, such as `training`; default: all")
    parser.add_argument(
        "--params",
        type=Path,
        default=REPOSITORY / "book/smoke.yaml",
        help="YAML file: chapter → parameter → value; default: book/smoke.yaml, a quick run",
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "_build/papermill", help="folder of the results")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds a cell may take")
    options = parser.parse_args(arguments)
    # The compact figure type keeps plotly.js (5 MB) out of every notebook.
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"

    sources = options.out / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    known = {chapter.stem: chapter for chapter in chapters()}
    problems = [
        f"no chapter is called {name!r}: there are {', '.join(known)}"
        for name in set(options.chapters) - set(known)
    ]
    notebooks = {
        name: to_notebook(chapter, sources)
        for name, chapter in known.items()
        if not options.chapters or name in options.chapters
    }
    parameters = yaml.safe_load(options.params.read_text()) or {}
    if options.chapters:
        parameters = {name: values for name, values in parameters.items() if name in notebooks}
    problems += check_parameters(parameters, notebooks)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2

    times = []
    progress = tqdm(notebooks.items(), unit="chapter")
    for name, notebook in progress:
        progress.set_postfix_str(name)
        try:
            seconds = run(notebook, parameters.get(name, {}), options.out / f"{name}.ipynb", options.timeout)
        except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
            progress.close()
            print(f"chapter {name!r} failed; its notebook: {options.out / name}.ipynb\n{error}", file=sys.stderr)
            return 1
        times.append({"chapter": name, "seconds": f"{seconds:.1f}"})
        with open(options.out / "times.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ["chapter", "seconds"])
            writer.writeheader()
            writer.writerows(times)
    total = sum(float(row["seconds"]) for row in times)
    print(
        f"{len(times)} chapters ran in {total / 60:.1f} min: {options.out}/times.csv and the notebooks beside it"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
