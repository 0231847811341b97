"""Every long run writes to the one folder of results, where the book reads them."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import experiments

NAMES = [module.name for module in pkgutil.iter_modules(experiments.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_results_lie_in_one_folder(name, repository):
    module = importlib.import_module(f"experiments.{name}")
    paths = [value for key, value in vars(module).items() if key.isupper() and isinstance(value, Path)]
    results = [path for path in paths if path != repository]
    folder = repository / "experiments" / "results"
    assert all(path == folder or (path.parent == folder and path.exists()) for path in results), results
