"""Tables of long runs were renamed once: with the old names put back they are the bytes of before."""

import hashlib
import json

import pytest


def with_old_names(text, renamed):
    """A table of today with its old column names and labels."""
    head, _, body = text.partition("\n")
    columns = {new: old for old, new in renamed["columns"].items()}
    labels = {new: old for old, new in renamed["labels"].items()}
    rows = [",".join(labels.get(cell, cell) for cell in row.split(",")) for row in body.split("\n")]
    return "\n".join([",".join(columns.get(cell, cell) for cell in head.split(",")), *rows])


@pytest.fixture(scope="module")
def records(repository):
    files = sorted((repository / "experiments/results").glob("*.json"))
    return {file: json.loads(file.read_text()) for file in files}


def test_values_are_those_that_were_measured(records):
    compared = 0
    for file, record in records.items():
        for name, renamed in record.get("renamed", {}).get("tables", {}).items():
            table = with_old_names(file.with_name(f"{name}.csv").read_text(), renamed)
            assert hashlib.sha256(table.encode()).hexdigest() == renamed["sha256_before"], name
            compared += 1
    assert compared >= 10


def test_date_commit_and_command_of_the_measurement_are_kept(records):
    for file, record in records.items():
        assert len(record["commit"]) == 40 and record["date"] < "2026-12", file.name
        if "renamed" in record:
            assert record["renamed"]["on"] > record["date"]
