"""Every chapter with the results that it may meet: everything right, nothing right, everything equal.

The code cells of a chapter run in one namespace with the quick parameters of `book/smoke.yaml`, on a tiny screen.
Features, histories and committed tables of results are replaced, and what a cell shows is drawn as on the page.
"""

import ast
import re
from types import SimpleNamespace

import jupytext
import numpy as np
import pandas as pd
import pytest
import yaml

RESULTS = ("right", "wrong", "equal")
LOWER_IS_BETTER = {"loss", "week_accuracy"}
SCORES = {"nsc", "nscb", "retrieval", "probe", "compound_precision", "top1", *LOWER_IS_BETTER}


def features_of(result, table, width=64):
    """Features of cells that answer every question of mechanism right, none, or that know nothing.

    "right": a direction of its own for each mechanism. "wrong": compounds of a mechanism point away from each
    other, so that any other mechanism is nearer. "equal": the same vector for every cell. A little noise for each
    cell, since a cosine needs a direction after the mean is taken off.
    """
    generator = np.random.default_rng(0)
    noise = 1e-3 * generator.normal(size=(len(table), width))
    if result == "equal":
        return (1 + noise).astype(np.float32)
    compounds, of = np.unique(table["compound"].astype(str), return_inverse=True)
    moas = table.groupby(table["compound"].astype(str))["moa"].first()[compounds].to_numpy()
    kin = moas[:, None] == moas
    # Rows of `kin` are equal within a mechanism; those of the other matrix sum up to zero within one.
    directions = kin if result == "right" else np.eye(len(compounds)) - kin / kin.sum(axis=1)
    # Spread over all features at right angles: none of them is noise alone.
    spread = np.linalg.qr(generator.normal(size=(width, len(compounds))))[0].T
    return (directions[of] @ spread + noise).astype(np.float32)


def scores_of(result, table):
    """A table of results whose scores are all the best, all the worst, or all the same."""
    table = table.copy()
    for name in SCORES & set(table):
        unit = 1 if table[name].max() <= 1 or name in LOWER_IS_BETTER else 100
        value = {"right": 1, "wrong": 0, "equal": 0.5}[result]
        value = unit * (1 - value if name in LOWER_IS_BETTER else value)
        columns = [c for c in (name, f"{name}_low", f"{name}_high") if c in table]
        table[columns] = table[columns].astype(float).mask(table[columns].notna(), value)
        if f"{name}_correct" in table:
            table[f"{name}_correct"] = (value * table[f"{name}_total"]).round().astype(int)
    differences = [c for c in table if c.startswith("drop") or "_gain" in c]
    return table.assign(**dict.fromkeys(differences, 0.0))


def history_of(result, epochs=2):
    """The history of a training: retrieval and top-1 perfect, at zero, or the same in every epoch."""
    epoch = np.arange(1, epochs + 1)
    history = pd.DataFrame({"epoch": epoch, "loss": 1.0, "top1": 1.0, "lr": 1e-3, "seconds": 10.0 * epoch})
    return scores_of(result, history.assign(retrieval=1.0, week_accuracy=1.0))


class Chapter:
    """Runs the code cells of a chapter; `said` holds the glued words, `namespace` what the cells made."""

    def __init__(self, path, parameters):
        self.cells = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
        self.parameters, self.said, self.namespace = parameters, {}, {"__name__": path.stem}

    def run(self, after=None):
        """Run all cells; `after`: piece of a source → function of the namespace, called after that cell."""
        for cell in self.cells:
            self._run_cell(cell.source)
            if "parameters" in cell.metadata.get("tags", []):
                self.namespace.update(self.parameters)
            for piece, change in (after or {}).items():
                if piece in cell.source:
                    change(self.namespace)
        return self

    def _run_cell(self, source):
        body = ast.parse(source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), source, "exec"), self.namespace)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), source, "eval"), self.namespace)
            for draw in ("to_json", "_repr_html_"):  # of a figure; of a table, whose format is applied only then
                if hasattr(shown, draw):
                    getattr(shown, draw)()


@pytest.fixture
def run_chapter(repository, request, monkeypatch):
    """Function that runs a chapter with replaced results and returns it."""
    import myst_nb

    from cellclr_lib.pipeline import cache

    book = repository / "book"
    smoke = yaml.safe_load((book / "smoke.yaml").read_text())
    read_csv = pd.read_csv

    def run(name, result, after=None, trained=None, own_screen=False):
        def features(method, training=None, cropping=None, source=None):
            # A mechanism with a single compound has no right answer: two of them become one mechanism.
            table = crops().table.replace({"moa": {"Protein synthesis": "Eg5 inhibitors"}})
            return table, features_of(result, table)

        def crops(cropping=None, source=None):
            return request.getfixturevalue("tiny_store")

        def checkpoint(training=None, cropping=None, source=None, monitor=True):
            return trained or SimpleNamespace(history=history_of(result))

        def read(path, *arguments, **options):
            table = read_csv(path, *arguments, **options)
            return scores_of(result, table) if "results/" in str(path) else table

        chapter = Chapter(book / f"{name}.md", smoke.get(name, {}))
        monkeypatch.chdir(book)
        monkeypatch.setattr(cache, "features", features)
        monkeypatch.setattr(cache, "checkpoint", checkpoint)
        if not own_screen:
            monkeypatch.setattr(cache, "screen", lambda source=None: request.getfixturevalue("tiny_screen"))
        monkeypatch.setattr(cache, "crops", crops)
        monkeypatch.setattr(pd, "read_csv", read)
        monkeypatch.setattr(myst_nb, "glue", lambda key, value, display=True: chapter.said.update({key: value}))
        return chapter.run(after)

    return run


# NumPy warns of nothing over nothing and of a mean of nothing. A rank correlation of a constant may be NaN.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "ignore:An input array is constant")


def check_words(said):
    """No sentence of a chapter holds a number that is none."""
    assert said and not {key: words for key, words in said.items() if re.search(r"\bnan\b", str(words))}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("name", ["preface", "tuning"])
def test_a_chapter_of_tables_runs_through(run_chapter, name, result):
    chapter = run_chapter(name, result)
    check_words(chapter.said)
    if name == "tuning":
        assert chapter.said["loss_same"] == "does not exist, since all have the same loss"
        assert "no other setting" not in chapter.said["level"]
        assert "cannot be told from luck" in chapter.said["t_matters"]
    else:
        assert "level with the best" in chapter.said["claim_1"]


@pytest.mark.parametrize("result", RESULTS)
def test_evaluation_names_no_wrong_neighbour_where_there_is_none(run_chapter, result):
    chapter = run_chapter("evaluation", result)
    check_words(chapter.said)
    score = chapter.namespace["nscb"]
    assert {"right": score.correct == score.total, "wrong": score.correct == 0, "equal": True}[result]
    assert ("no neighbour is wrong" in chapter.said["wrong_pair"]) == (result == "right")
    assert ("do not differ" in chapter.said["moas_differ"]) == (result != "equal")
    assert "of the 16 alike" in chapter.said["winner"] or "all 16 alike" in chapter.said["winner"]


@pytest.mark.slow
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("name", ["training", "postprocessing", "views", "real_screen"])
def test_a_chapter_of_features_runs_through(run_chapter, name, result):
    check_words(run_chapter(name, result).said)


@pytest.mark.slow
@pytest.mark.parametrize("result", RESULTS)
def test_the_quiz_may_be_solved_or_not(run_chapter, tiny_store, tmp_path, result):
    import torch

    from cellclr_lib.learning import TrainConfig, train

    short = TrainConfig(epochs=1, batch_size=64, cells_per_epoch=64, folder=str(tmp_path))
    trained = train(tiny_store, short)

    def answer(namespace):
        """Vectors of views: partners alike, opposite, or everything alike, partners no more than others."""
        dice = torch.Generator().manual_seed(0)
        first, second = torch.randn(2, namespace["n"], 64, generator=dice)
        pairs = {"right": (first, first), "wrong": (first, -first), "equal": (1 + 0.1 * first, 1 + 0.1 * second)}
        pair = tuple(view.clone() for view in pairs[result])
        namespace["z"] = {stage: [pair] * namespace["batches"] for stage in namespace["networks"]}

    chapter = run_chapter("contrastive_loss", result, {"z[stage].append": answer}, trained=trained)
    check_words(chapter.said)
    assert (chapter.said["top1_trained"] == "100%") == (result == "right")


@pytest.mark.slow
@pytest.mark.parametrize("result", RESULTS)
def test_a_screen_of_ones_own_may_have_any_scores(run_chapter, monkeypatch, result):
    from cellclr_lib import baselines, data, learning
    from cellclr_lib.baselines.handcrafted import feature_names

    stores, crop_screen = [], data.crop_screen

    def crop(*arguments, **options):
        stores.append(crop_screen(*arguments, **options))
        return stores[-1]

    def features(*arguments, **options):
        width = len(feature_names(stores[-1].channels))
        return features_of(result, stores[-1].table, width)

    monkeypatch.setattr(data, "crop_screen", crop)
    monkeypatch.setattr(learning, "embed", features)
    for name in ("handcrafted_features", "untrained_features"):
        monkeypatch.setattr(baselines, name, features)
    chapter = run_chapter("own_screen", result, own_screen=True)
    check_words(chapter.said)
    assert chapter.said["gap_of"] == "none, for all tie"
