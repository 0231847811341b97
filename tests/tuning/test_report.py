"""The report in a real browser, without a network, in light and dark."""

import json

import pandas as pd
import pytest

from cellclr_lib.learning import TrainConfig
from tuning.plan import Plan
from tuning.report import write_report
from tuning.results import agreement, ranking

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of eight made-up trials, one of which failed."""
    folder = tmp_path_factory.mktemp("report") / "a <b>"
    folder.mkdir()
    plan = Plan(
        folder,
        TrainConfig(epochs=2, cells_per_epoch=64),
        {"temperature": [0.1, 0.5], "batch_size": [32, 64]},
        (0, 1),
    )
    results = pd.DataFrame(plan.trials)
    n = range(len(results))
    results = results.assign(
        retrieval=[0.3 + 0.01 * i for i in n], week_accuracy=0.4, nsc=[0.5 + 0.02 * (i % 3) for i in n],
        nscb=[0.4 + 0.02 * i for i in n], loss=3.0, top1=0.2, epoch=2, cells_seen=128, seconds=9.0,
        checkpoint_path="x", trial=[str(i) for i in n], error=["", *[""] * 6, "FloatingPointError: <script>"],
    )  # fmt: skip
    history = pd.concat([results.assign(epoch=e, cells_seen=64 * e, lr=1e-3) for e in (1, 2)])
    history = history.sort_values(["trial", "epoch"], kind="stable")
    (folder / "best.yaml").write_text("temperature: 0.1\n")
    best = (folder / "best.yaml", "python -m cellclr_lib train store --config best.yaml")
    return write_report(folder, plan, results, history, ranking(results, plan), agreement(results), best, 1.5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens(browser, page, scheme):
    tab = browser.new_context(color_scheme=scheme).new_page()
    asked, errors = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_selector(".main-svg")
    plots = tab.evaluate("[...document.querySelectorAll('.js-plotly-plot')].map(e => e.data.length)")
    colours = tab.evaluate("[document.body, document.documentElement].map(e => getComputedStyle(e).color)")
    tab.context.close()
    assert not errors and asked == [page.as_uri()], json.dumps(asked)
    assert len(plots) == 4 and all(plots)
    assert colours[0] == ("rgb(255, 255, 255)" if scheme == "dark" else "rgb(0, 0, 0)")


def test_agreement_ranks_only_trials_that_have_both_scores():
    """The trial without NSCB lies between the others in retrieval and must not part their ranks."""
    results = pd.DataFrame({"retrieval": [0.1, 0.2, 0.3, 0.4], "nsc": [1.0, 2.0, 3.0, 4.0], "error": ""})
    results["nscb"] = [0.5, None, 0.7, 0.6]
    assert agreement(results) == {"nsc": pytest.approx(1.0), "nscb": pytest.approx(0.5)}
    assert agreement(results.assign(error=["", "", "", "lost"]))["nsc"] == pytest.approx(1.0)
