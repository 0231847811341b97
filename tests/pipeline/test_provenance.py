"""What stands beside a table of results: commit, versions, and whether the code was changed since."""

import subprocess

import pytest

from cellclr_lib.pipeline import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small repository in the place of this one."""
    files = "README.md", "experiments/README.md", "experiments/results/a.csv", "cellclr_lib/code.py"
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    git = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    return tmp_path


def test_it_speaks_of_this_repository(repository):
    assert repository == provenance.REPOSITORY


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("README.md", False),
        ("experiments/README.md", False),
        ("experiments/results/a.csv", False),
        ("cellclr_lib/code.py", True),
    ],
)
def test_code_counts_as_changed_and_what_shows_results_does_not(checkout, name, changed):
    assert not provenance.provenance()["changed"] and len(provenance.provenance()["commit"]) == 40
    (checkout / name).write_text("new")
    assert provenance.provenance()["changed"] is changed
