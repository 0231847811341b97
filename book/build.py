"""Build the book strictly: every chapter executed, every warning an error, the whole log kept.

    python book/build.py                             # the parameters that the chapters show
    python book/build.py --params book/smoke.yaml    # others, as `run_chapters.py` takes them

writes `_build/html` and `_build/book.log`, shows a bar over the pages, and on failure prints the warnings and the
traceback of the failing cell; the exit status is that of Jupyter Book.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from tqdm import tqdm

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND = ["jupyter-book", "build", ".", "--all", "-W", "--keep-going", "-n"]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def pages(toc):
    """Count the pages of a table of contents."""
    parts = toc.get("parts", [toc])
    return 1 + sum(len(part["chapters"]) for part in parts)


def main(arguments=None):
    """Build the book; returns the exit status of Jupyter Book."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--params", type=Path, help="YAML file: chapter → parameter → value")
    options = parser.parse_args(arguments)
    environment = os.environ | ({"CELLCLR_PARAMS": str(options.params.resolve())} if options.params else {})
    build = REPOSITORY / "_build"
    build.mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name(COMMAND[0])), *COMMAND[1:]]
    total = pages(yaml.safe_load((REPOSITORY / "_toc.yml").read_text()))
    with (
        open(build / "book.log", "w") as log,
        tqdm(total=total, desc="executing chapters", unit="page") as bar,
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as jupyter_book,
    ):
        for raw in jupyter_book.stdout:
            line = COLOUR.sub("", raw)
            log.write(line)
            log.flush()
            # The kernel's own note about its socket is no warning of the book.
            if re.search(r"\b(WARNING|ERROR|CRITICAL):", line) and "IPKernelApp" not in line:
                tqdm.write(line.rstrip(), file=sys.stderr)
            if reading := re.search(r"reading sources\.\.\. \[ *(\d+)%\]", line):
                bar.update(round(int(reading[1]) / 100 * total) - bar.n)
    if jupyter_book.returncode:
        for report in sorted((build / "html/reports").rglob("*.log")):
            print(f"\n{report.relative_to(REPOSITORY)}:\n{report.read_text()}", file=sys.stderr)
        print(f"the book did not build; the whole log: {build / 'book.log'}", file=sys.stderr)
    return jupyter_book.returncode


if __name__ == "__main__":
    sys.exit(main())
