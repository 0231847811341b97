"""The speed benchmarks: every row runs at a tiny size, and the README shows what was measured."""

import importlib
import itertools
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from cellclr_lib.data import SimulationConfig
from cellclr_lib.learning import TrainConfig

COLUMNS = ["case", "variant", "runs", "seconds", "fastest", "slowest", "unit", "rate", "ratio"]
# Measured row -> sizes at which it takes a second or two.
TINY = {
    "views": dict(cells=6, batch_size=4, crop_px=32, runs=1),
    "nt_xent": dict(sizes=(8, 16), runs=1, memory=False),
    "training_step": dict(encoder="small", batch_size=4, crop_px=32, steps=1, runs=1),
    "precision": dict(
        training=TrainConfig(epochs=1, batch_size=64), seeds=(0, 1), source=SimulationConfig.smoke()
    ),
    "embedding": dict(encoders={"small": (16, 20)}, crop_px=32, runs=1),
    "crops": dict(fields=2, field_px=(224, 224), runs=1),
    "profiles": dict(cells=4000, width=8, cells_for_peers=4000, runs=1),
    "scaling": dict(
        sizes=(500, 1000),
        crop_px=16,
        width=8,
        steps=1,
        batch_size=8,
        process=lambda work, *sizes: work(*sizes),
    ),
}


@pytest.fixture(scope="module")
def modules(repository):
    """compare, gpu, and the files of `benchmarks/speed`."""
    sys.path.insert(0, str(repository / "benchmarks"))
    threads = torch.get_num_threads()
    yield importlib.import_module
    torch.set_num_threads(threads)
    sys.path.remove(str(repository / "benchmarks"))


@pytest.fixture(scope="module")
def measured(modules, tmp_path_factory):
    """Folder of results, and a function that measures a row there at its tiny size and reads it back."""
    folder = tmp_path_factory.mktemp("results")

    def measure(row, **sizes):
        results = modules("speed.measure").Results(row, folder)
        modules(f"speed.{row}").measure(results, **(TINY[row] | sizes))
        results.finish()
        return pd.read_csv(results.path)

    return folder, measure


def test_there_is_a_tiny_size_of_every_row(modules):
    assert set(TINY) == set(modules("compare").ROWS)


def test_claims_and_results_belong_to_rows(modules):
    table, rows = modules("speed.table"), modules("compare").ROWS
    assert {claim.row for claim in table.CPU} <= set(rows)
    commands = [json.loads(path.read_text()).get("command", "").split() for path in table.RESULTS.glob("*.json")]
    measured = {command[2] for command in commands if command[1:2] == ["benchmarks/compare.py"]}
    assert measured and measured <= set(rows)


@pytest.mark.slow
@pytest.mark.parametrize("row", TINY)
def test_a_row_is_measured(row, measured, tmp_path):
    folder, measure = measured
    # Without the real samples, which are large.
    table = measure(row, **({"real": tmp_path} if row == "crops" else {}))
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert (table[["seconds", "rate", "ratio"]] > 0).all(axis=None) and (table["runs"] >= 1).all()
    first = table.drop_duplicates("case")
    np.testing.assert_allclose(first["ratio"], 1)
    assert (folder / f"{row}.json").exists()


@pytest.mark.slow
def test_every_claim_finds_its_number(modules, measured):
    """After the rows above: a misspelt case, variant or column would read as "not measured" for ever."""
    folder, _ = measured
    table = modules("speed.table")
    for claim in table.CPU:
        path = folder / f"{claim.row}.csv"
        if not path.exists():
            pytest.skip("needs the results of the tests above")
        found = pd.read_csv(path)
        if claim.variant not in set(found["variant"]):
            assert claim.variant in ("albumentations", "kornia", "torchvision v2", "lightly", "paper's way")
        else:
            assert claim.column in found


def test_noise_of_two_precisions_is_that_between_seeds(measured):
    _, measure = measured
    table = measure("precision").set_index(["case", "variant"])
    found = {p: np.array([table.loc[(f"seed {s}", p), "retrieval"] for s in (0, 1)]) for p in ("bf16", "fp32")}
    lost = found["fp32"].mean() - found["bf16"].mean()
    spread = np.sqrt(sum(np.square(values - values.mean()).sum() for values in found.values()) / 2)
    whole = table.loc[("all seeds", "bf16")]
    assert whole["lost"] == pytest.approx(lost, abs=1e-5)
    assert whole["over_noise"] == pytest.approx(lost / (2 * spread), abs=1e-4)  # 2 seeds: sqrt(2 / 2)
    assert table["retrieval"].between(0, 1).all() and whole["runs"] == 2


def test_take_turns_interleaves(modules, monkeypatch):
    measure, order, clock = modules("speed.measure"), [], itertools.count()
    # Whoever asks for the time gets a second more than the one before.
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    seconds = measure.take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b") or 2.0}, runs=3)
    assert "".join(order) == "abababab"  # one turn more to warm up
    assert seconds["b"].tolist() == [2.0] * 3 and seconds["a"].tolist() == [1.0] * 3


def test_ratio_compares_runs_of_one_turn(modules, tmp_path):
    results = modules("speed.measure").Results("x", tmp_path)
    # The machine was twice as busy in the second turn, for both.
    results.add("case", {"ours": np.array([1.0, 2.0, 1.0]), "peer": np.array([3.0, 6.0, 3.0])}, 6, "things")
    table = pd.read_csv(tmp_path / "x.csv").set_index("variant")
    assert table.loc["peer", "ratio"] == 3 and table.loc["peer", "rate"] == 2


def test_a_missing_peer_is_skipped_with_the_reason(modules, capsys):
    def missing():
        import no_such_package  # noqa: F401

    assert modules("speed.measure").installed({"a peer": missing, "another": lambda: print}) == {"another": print}
    assert "no_such_package" in capsys.readouterr().out


def test_peak_memory_sees_what_was_freed(modules):
    with modules("speed.measure").PeakMemory() as peak:
        np.ones(25_000_000)  # 0.2 GB
    if np.isnan(peak.gb):
        pytest.skip("no /proc/self/clear_refs here")
    assert 0.19 < peak.more_gb < 0.25


def test_conditions(modules):
    holds = modules("speed.table").holds
    assert holds(3.0, ">= 3") and holds(8.0, "<= 8")
    assert not holds(2.9, ">= 3") and not holds(8.1, "<= 8")


def test_a_claim_counts_the_worst_case(modules, tmp_path):
    table = modules("speed.table")
    columns = {"case": ["N = 1", "N = 2"], "variant": "peer", "ratio": [5.0, 2.0], "seconds": [1.0, 4.0]}
    pd.DataFrame(columns).to_csv(tmp_path / "row.csv", index=False)
    assert table.reached(table.Claim("", "row", "N", "peer", "ratio", ">= 3"), tmp_path) == 2
    assert table.reached(table.Claim("", "row", "N", "peer", "seconds", "<= 3"), tmp_path) == 4
    assert table.reached(table.Claim("", "row", "N", "other", "ratio", ">= 3"), tmp_path) is None
    assert table.reached(table.Claim("", "none", "N", "peer", "ratio", ">= 3"), tmp_path) is None


def test_the_documents_show_what_was_measured(modules):
    table = modules("speed.table")
    for document, parts in table.generated().items():
        text = document.read_text()
        for name, body in parts.items():
            shown = f"{table.BEGIN.format(name)}\n{body}\n{table.END.format(name)}"
            assert shown in text, f"{document.name}, {name}: `python -m speed.table` in benchmarks/ writes it anew"


def test_estimates_follow_from_rates(modules, tmp_path):
    scale = modules("speed.scale")
    assert "450,000 × 3 × 96² = 12.4 GB" in scale.sizes() and "= 73.7 TB" in scale.sizes()
    assert scale.times(tmp_path).count("not measured") == len(scale.STAGES)
    row = {"case": ["resnet18, 96 px"], "variant": ["cellclr"], "rate": [1000.0]}
    pd.DataFrame(row).to_csv(tmp_path / "embedding.csv", index=False)
    # 450 s, 1.6 million s = 18.5 days, and a 512th of that.
    assert "| embedding, ResNet-18 | 1,000 cells/s | 8 min | 19 days | 52 min |" in scale.times(tmp_path)


def test_the_papers_loss_is_ours(modules):
    from cellclr_lib.learning import nt_xent_loss

    z1, z2 = modules("speed.nt_xent").projections(12, 8)
    torch.testing.assert_close(modules("speed.paper").nt_xent(z1, z2, 0.1), nt_xent_loss(z1, z2, 0.1))


def test_the_loops_give_our_scores(modules):
    """Whoever is slower must still do the same work."""
    from cellclr_lib.profiles import aggregate_treatments, aggregate_wells, nsc, nscb

    paper = modules("speed.paper")
    meta, feats = modules("speed.profiles").simulated_features(2000, 6)
    well_meta, well_feats = aggregate_wells(meta, feats)
    names = list("abcdef")
    cells = pd.concat([meta, pd.DataFrame(feats, columns=names)], axis=1)
    means = paper.mean_of_wells(cells, len(names))
    looped = [means[well] for well in zip(well_meta["plate"], well_meta["well"], strict=True)]
    np.testing.assert_allclose(looped, well_feats, atol=1e-5)
    table, profiles = aggregate_treatments(well_meta, well_feats)
    assert paper.nearest_moa(table, profiles, other_batch=False) == nsc(table, profiles).accuracy
    assert paper.nearest_moa(table, profiles, other_batch=True) == nscb(table, profiles).accuracy


@pytest.mark.parametrize("package", ["cellclr", "albumentations", "kornia", "torchvision"])
def test_everyone_bends_alike(package, modules):
    """A ramp shows the displacement: its standard deviation along x is the same for ours and every peer."""
    from cellclr_lib.views import two_views

    peers, images = modules("speed.peers"), 80
    if package != "cellclr":
        pytest.importorskip(package, reason="comes with the extra `bench`")
    only = replace(
        peers.VIEWS, crop_area=(1, 1), crop_aspect=(1, 1), horizontal_flip_p=0, elastic_p=1, jitter_p=0, blur_p=0
    )
    x = np.arange(96)
    ramp = np.broadcast_to((2 * x).astype(np.uint8), (images, 3, 96, 96)).copy()
    if package == "cellclr":
        view = two_views(ramp, only, torch.Generator().manual_seed(0))[0]
    elif package == "kornia":
        view = next(peers.kornia_batches(ramp, images, only)())[0]
    else:
        pair = getattr(peers, f"{package}_pair")(96, only)
        view = torch.stack([pair(image)[0] for image in ramp]) / 255
    moved_px = (view[:, 0].numpy() * 255 / 2 - x)[:, 20:-20, 20:-20]
    assert moved_px.std() == pytest.approx(only.elastic_std_px, rel=0.1)


@pytest.mark.slow
def test_gpu_benchmark_runs_on_a_cpu(modules, tmp_path):
    gpu = modules("gpu")
    sizes = gpu.Sizes(
        encoder="small", crop_px=32, cells=24, sweep_cells=16, chunk_cells=4, run_cells=8,
        matrix=32, runs=1, batches=((gpu.RESIDENT, 4), (gpu.STREAMED, 8)),
    )  # fmt: skip
    results = modules("speed.measure").Results("gpu", tmp_path)
    gpu.measure(results, torch.device("cpu"), sizes)
    results.finish(command="python benchmarks/gpu.py", gpu="none")
    found = pd.read_csv(tmp_path / "gpu.csv").set_index(["case", "variant"])
    assert found.loc[("resident, batch 4", "cellclr"), "of_encoder"] > 0
    assert ("streamed, batch 8", "encoder alone, one pass") in found.index
    table = modules("speed.table")
    for claim in table.GPU:
        if claim.column != "memory_gb":  # torch counts none on a CPU
            assert table.reached(claim, tmp_path) is not None, claim


def test_gpu_benchmark_leaves_out_what_no_longer_fits(modules, tmp_path, capsys):
    gpu = modules("gpu")
    sizes = gpu.Sizes(
        encoder="small", crop_px=16, cells=8, sweep_cells=8, chunk_cells=4, run_cells=4, matrix=8, runs=1,
        batches=((gpu.RESIDENT, 4), (gpu.STREAMED, 4)),
    )  # fmt: skip
    gpu.measure(modules("speed.measure").Results("gpu", tmp_path), torch.device("cpu"), sizes, budget_s=0)
    printed = capsys.readouterr().out
    assert "epoch left out" in printed and "streamed, batch 4 left out" in printed
    assert list(pd.read_csv(tmp_path / "gpu.csv")["case"].unique()) == ["bf16 matrix product", "resident, batch 4"]
