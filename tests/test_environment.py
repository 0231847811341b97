"""The same dependencies for pip, conda and the pinned versions."""

import tomllib

import pytest
import yaml
from packaging.requirements import Requirement


@pytest.fixture
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def test_conda_lists_what_pip_installs(project, repository):
    environment = yaml.safe_load((repository / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    extras = project["optional-dependencies"]
    expected = project["dependencies"] + [d for extra in ("book", "tune", "test") for d in extras[extra]]
    assert pip["pip"] == expected
    assert f"python{project['requires-python']}" in conda


def test_every_dependency_is_pinned_to_a_version_it_allows(project, repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project["optional-dependencies"]
    for text in project["dependencies"] + [d for extra in extras.values() for d in extra]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), text
