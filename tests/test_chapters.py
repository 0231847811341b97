"""The form of every chapter, read from its source: what design and readers expect to find on each page."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
import yaml

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = sorted(
    path
    for path in BOOK.glob("*.md")
    if "\n# " in path.read_text() and path.stem not in {"glossary", "api", "references", "execution"}
)
BACK_MATTER = [BOOK / f"{name}.md" for name in ("glossary", "api", "references", "execution")]
WIDTH = 78  # columns of code that a page shows without scrolling


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


@functools.cache
def cells(chapter):
    return [cell for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def prose(chapter):
    """Text of the page without front matter, code cells and directives' fences."""
    text = chapter.read_text().split("\n---\n", 1)[1]
    return re.sub(r"```\{code-cell\}.*?\n```", "", text, flags=re.DOTALL)


def test_every_page_is_in_the_table_of_contents(repository):
    toc = yaml.safe_load((repository / "_toc.yml").read_text())
    listed = {toc["root"]} | {page["file"] for part in toc["parts"] for page in part["chapters"]}
    assert listed == {f"book/{path.stem}" for path in CHAPTERS + BACK_MATTER}


def test_header_makes_the_page_executable(chapter):
    """Without `jupytext` Jupyter Book does not execute a page, without `language` papermill fails."""
    front = yaml.safe_load(chapter.read_text().split("\n---\n")[0].removeprefix("---\n"))
    assert front["jupytext"]["text_representation"] == {"extension": ".md", "format_name": "myst"}
    assert front["kernelspec"]["language"] == "python"


def test_opens_and_closes_as_every_chapter_does(chapter):
    text = prose(chapter)
    assert re.search(r"^\(chapter-[a-z-]+\)=\n# ", text, re.MULTILINE), "a label above the H1"
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    for part in ("You will", "You need", "Time", "Change"):
        assert f"**{part}**" in text.split("## ")[0], f"At a glance lacks {part!r}"
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[-3:] == ["Exercises", "Summary", "Change it"]
    assert "| what | where | what to expect | minutes |" in text
    assert re.search(r"^\*\*Next:\*\*", text, re.MULTILINE)
    assert "{cite:" in text


def test_headings_are_questions_with_a_reading(chapter):
    sections = re.split(r"^## ", prose(chapter), flags=re.MULTILINE)[1:]
    for section in sections[:-3]:
        heading = section.split("\n", 1)[0]
        assert heading.endswith("?"), heading
    assert len(re.findall(r"\*What we see", prose(chapter))) >= 2
    assert re.search(r"not\W+ show|does not|do not show|leaves out", prose(chapter))


def test_exercises_are_gated_and_solved(chapter):
    text = chapter.read_text()
    exercises = re.findall(r"\{exercise-start\}.*\n:label: (\S+)", text)
    assert 2 <= len(exercises) <= 3
    assert re.findall(r"\{solution-start\} (\S+)\n:class: dropdown", text) == exercises
    assert text.count("{exercise-end}") == text.count("{solution-end}") == len(exercises)


def test_parameters_are_literals_with_comments(chapter):
    marked = [cell for cell in cells(chapter) if "parameters" in tags(cell)]
    assert len(marked) == 1
    for line in marked[0].source.splitlines():
        code, comment = line.split("#", 1)
        (statement,) = ast.parse(code).body
        ast.literal_eval(statement.value)
        assert comment.strip(), f"{line!r} has no comment"


def test_visible_code_fits_the_page(chapter):
    seen = [c for c in cells(chapter) if not {"remove-cell", "remove-input", "hide-input"} & set(tags(c))]
    long = [line for cell in seen for line in cell.source.splitlines() if len(line) > WIDTH]
    assert not long, "\n".join(long)


def test_every_name_is_defined(chapter, tmp_path):
    """Where a name is missing, the book fails only after minutes of execution."""
    source = tmp_path / f"{chapter.stem}.py"
    source.write_text("\n\n".join(cell.source for cell in cells(chapter)))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_figures_have_caption_and_are_mentioned(chapter):
    text = chapter.read_text()
    for name in re.findall(r"^    name: (fig-\S+)", text, re.MULTILINE):
        assert f"{{numref}}`{name}`" in text, f"{name} is never mentioned"
    for figure in re.findall(r"mystnb:\n  figure:\n(.*?)\n---", text, re.DOTALL):
        assert "caption:" in figure and "name:" in figure


def test_glued_numbers_are_used_and_known(chapter):
    text = chapter.read_text()
    glued = set(re.findall(r'glue\(\s*f?"([a-z0-9_]+)"', text))
    glued |= {f"{kind}_{column}" for kind in ("shared", "expected") for column in ("moa", "batch")}
    used = set(re.findall(r"\{glue:text\}`([a-z0-9_]+)", text))
    assert used <= glued, used - glued


NEAR = re.compile(
    r"\b\d+(\.\d+)?\s*(%|per cent|points?)|\b(NSC|NSCB)\b[^.;\n]{0,25}?\b\d+(\.\d+)?\b"
    r"|\b\d+(\.\d+)?[^.;\n]{0,12}?\b(NSC|NSCB)\b"
)


@pytest.mark.parametrize(
    "typed",
    ["It reaches an NSC of 96.2.", "a drop of 3 points", "12.5 % of cells", "NSCB is 71", "71 in NSCB"],
)
def test_typed_scores_are_recognised(typed):
    assert NEAR.search(typed)


def test_no_score_is_typed(chapter):
    """Numbers beside NSC, NSCB or % come from `glue`; published ones stand in a paragraph with a citation."""
    for paragraph in prose(chapter).split("\n\n"):
        if "{cite" in paragraph or paragraph.lstrip().startswith(("```", "---")):
            continue
        plain = re.sub(r"\{glue:text\}`[^`]*`|95 % interval", "", paragraph)
        found = NEAR.search(plain)
        assert not found, f"typed number {found[0]!r} in: {paragraph[:200]}"


TERMS = {  # glossary entry → the words that need it; not those of everyday language
    "BBBC021": r"BBBC021",
    "compound": r"[Cc]ompounds?",
    "DMSO": r"DMSO",
    "mechanism of action (MoA)": r"[Mm]echanisms?|MoAs?",
    "NSC, NSCB": r"NSCB?",
    "NT-Xent": r"NT-Xent",
    "positive control": r"[Pp]ositive controls?",
    "replicate retrieval": r"[Rr]eplicate retrieval",
    "treatment": r"[Tt]reatments?",
    "TVN": r"TVN",
    "whitening": r"[Ww]hitening",
}


def running_prose(chapter):
    """Sentences of the page: no code, headings, boxes, formulas, nor tables; of roles and tables their `term`s."""
    text = prose(chapter)
    text = re.sub(r"^(`{3,})\{.*?^\1 *$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(#|:\w|\*\*Next|\().*$", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"^\|.*$", lambda row: " ".join(re.findall(r"\{term\}`[^`]*`", row[0])), text, flags=re.MULTILINE
    )
    quoted = re.compile(r"(\{term\})?(?:\{[a-z:]+\})?`[^`]*`|\$[^$]*\$")
    return quoted.sub(lambda m: m[0] if m[1] else "", text)


def test_terms_are_linked_at_first_use(chapter):
    text, late = running_prose(chapter), []
    for entry, words in TERMS.items():
        used = re.search(
            rf"(?<![\w`/-])(?:{words})(?![\w`/-])", re.sub(r"\{term\}`[^`]*`", lambda m: "·" * len(m[0]), text)
        )
        links = [m.start() for m in re.finditer(r"\{term\}`(?:[^`<]*<)?([^`>]*)>?`", text) if m[1] == entry]
        if used and (not links or links[0] > used.start()):
            late.append(f"{used[0]!r}: {text[max(0, used.start() - 40) : used.end() + 20]!r}")
    assert not late, "\n".join(late)


def test_reading_times_are_computed(chapter, monkeypatch):
    monkeypatch.syspath_prepend(BOOK / "_ext")
    from reading_time import minutes

    source = chapter.read_text()
    assert "**Time** {reading-time}`minutes` of reading" in source
    assert 5 <= minutes(source) <= 25


def test_the_book_is_read_in_two_to_three_hours(monkeypatch):
    monkeypatch.syspath_prepend(BOOK / "_ext")
    from reading_time import minutes

    assert 110 <= sum(minutes(chapter.read_text()) for chapter in CHAPTERS) <= 190


def test_smoke_parameters_exist(repository):
    smoke = yaml.safe_load((repository / "book/smoke.yaml").read_text())
    for name, values in smoke.items():
        (source,) = [cell.source for cell in cells(BOOK / f"{name}.md") if "parameters" in tags(cell)]
        assert set(values) <= set(re.findall(r"^(\w+) =", source, re.MULTILINE)), name


@pytest.mark.parametrize("name", ["contrastive_loss", "training", "evaluation"])
def test_chapters_share_one_training(name):
    """Chapters and `book/prepare.py` name the same artefacts as long as the defaults agree."""
    from cellclr_lib.learning import TrainConfig

    (source,) = [cell.source for cell in cells(BOOK / f"{name}.md") if "parameters" in tags(cell)]
    values = dict(re.findall(r"^(\w+) = (\S+)", source, re.MULTILINE))
    defaults = TrainConfig()
    for field in {"epochs", "batch_size", "temperature", "seed"} & set(values):
        assert ast.literal_eval(values[field]) == getattr(defaults, field), field
