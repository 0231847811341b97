"""Record where a number came from, beside every results file."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cellclr_lib.settings import to_dict

REPOSITORY = Path(__file__).resolve().parents[2]
SHOWN = (
    ":!*/results/*",
    ":!README.md",
    ":!benchmarks/*.md",
    ":!experiments/*.md",
)  # what a measurement itself may change
PACKAGES = ("cellclr", "numpy", "pandas", "scikit-image", "scikit-learn", "torch", "torchvision")


def provenance(**more: Any) -> dict[str, Any]:
    """Collect what a results file needs to be understood later.

    Returns
    -------
    dict
        ``date commit changed python versions processor cores``, then `more`. ``changed`` is true if the
        working tree differed from the commit, results and the documents that show them aside.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", *SHOWN)),
        "python": platform.python_version(),
        "versions": versions(PACKAGES),
        "processor": _processor(),
        "cores": os.cpu_count(),
        **more,
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Look up the versions of those packages that are installed.

    Examples
    --------
    >>> list(versions(["numpy", "no-such-package"]))
    ['numpy']
    """
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write(path: str | Path, **more: Any) -> None:
    """Write `provenance` as JSON to `path`."""
    Path(path).write_text(json.dumps(provenance(**more), indent=1) + "\n")


def changed_settings(recorded: dict[str, Any], settings: Any) -> list[str]:
    """List the recorded settings that are different now.

    A setting that came later does not count: its default is to do what was done before.

    Parameters
    ----------
    recorded : dict
        As `to_dict` gave it when the results were made.
    settings : dataclass instance
        What a run would use now.

    Returns
    -------
    list of str
    """
    now = to_dict(settings)
    return [name for name, value in recorded.items() if name not in now or now[name] != value]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
