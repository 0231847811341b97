"""Imports follow the direction that the architecture states, and importing the library stays light."""

import subprocess
import sys

import pytest


def test_imports_go_one_way_without_circles(repository):
    # In a process of its own: it configures logging anew and so silences the loggers of this one.
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    run = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_library_tells_what_it_holds_without_loading_torch():
    code = (
        "import sys, cellclr_lib; print(cellclr_lib.__version__, *cellclr_lib.__all__);"
        "import cellclr_lib.views, cellclr_lib.learning, cellclr_lib.baselines; assert 'torch' not in sys.modules"
    )
    version, *names = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert version[0].isdigit()
    assert {"data", "views", "learning", "baselines", "profiles", "pipeline", "plots"} <= set(names)


@pytest.mark.parametrize("package", ["data", "views", "learning", "baselines", "profiles", "plots"])
def test_no_package_exports_the_name_of_one_of_its_modules(package):
    code = (
        f"import pkgutil, cellclr_lib.{package} as p;"
        "modules = {m.name for m in pkgutil.iter_modules(p.__path__)};"
        "print(*sorted(modules & set(getattr(p, '__all__', ()))))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []


def test_a_long_file_gives_its_reason(repository):
    """A file past 300 lines is likely to hold two ideas; one that does not says so at its head."""
    long = {
        str(path): path.read_text()
        for path in (repository / "cellclr_lib").rglob("*.py")
        if len(path.read_text().splitlines()) > 300
    }
    unexplained = [path for path, text in long.items() if "One file of more than 300 lines, since" not in text]
    assert not unexplained
