"""Published figures: each has a source in the bibliography, says how it is known, and guesses are not numbers."""

import re

import pandas as pd
import pytest
from figures.real_screen import STATUSES

COLUMNS = "method year supervision post nsc nsc_status nscb nscb_status source".split()
QUERIES = {"nsc": 103, "nscb": 92}


@pytest.fixture(scope="module")
def published(repository):
    return pd.read_csv(repository / "cellclr_lib" / "profiles" / "published.csv", dtype={"nsc": str, "nscb": str})


def test_columns_and_no_empty_cell_but_those_of_scores(published):
    assert list(published) == COLUMNS
    assert published.drop(columns=["nsc", "nscb"]).notna().all(axis=None)
    assert not published.duplicated(["method", "year"]).any()


def test_every_row_has_its_source_and_year_in_the_bibliography(published, repository):
    bibliography = (repository / "book" / "references.bib").read_text()
    entries = dict(re.findall(r"@\w+\{(\w+),(.*?)\n\}", bibliography, re.DOTALL))
    for row in published.itertuples():
        assert row.source in entries, f"{row.method}: no {row.source} in references.bib"
        assert f"year = {{{row.year}}}" in entries[row.source], row.method
        assert "author" in entries[row.source] and "title" in entries[row.source]


def test_statuses_and_numbers_fit_together(published):
    for metric in QUERIES:
        status, value = published[f"{metric}_status"], published[metric].astype(float)
        assert set(status) <= set(STATUSES)
        assert ((status == "unconfirmed") == value.isna()).all(), f"{metric}: a number if and only if confirmed"
        assert value.dropna().between(50, 100).all()
    known = published[["nsc_status", "nscb_status"]] != "unconfirmed"
    assert known.any(axis=1).all(), "a row without any confirmed figure says nothing"


def test_only_the_paper_s_own_figures_are_inferred(published):
    inferred = (published[["nsc_status", "nscb_status"]] == "inferred").any(axis=1)
    assert set(published.loc[inferred, "source"]) == {"perakis2021"}


def test_what_was_read_is_a_whole_number_of_queries(published):
    """A share of 103 or 92 answers, to the digits printed: a slip of the pen would hardly be one."""
    for metric, total in QUERIES.items():
        for row in published[published[f"{metric}_status"] == "read"].itertuples():
            text = getattr(row, metric)
            digits = len(text.partition(".")[2])
            possible = {f"{100 * correct / total:.{digits}f}" for correct in range(total + 1)}
            assert text in possible, f"{row.method}: {text} % is no share of {total}"


def test_the_chapter_cites_every_source(published, repository):
    chapter = (repository / "book" / "real_screen.md").read_text()
    cited = {key.strip() for keys in re.findall(r"\{cite:[pt]\}`([^`]*)`", chapter) for key in keys.split(",")}
    assert set(published["source"]) <= cited
