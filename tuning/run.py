"""Run a sweep from its options to its tables: plan it, say what it costs, run it with Ray Tune, report."""

import shutil
import time
from dataclasses import replace

from filelock import FileLock, Timeout
from ray import tune
from ray.tune.search import BasicVariantGenerator

from cellclr_lib.data import CellStore, CropConfig, SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache
from cellclr_lib.settings import load_yaml, save_yaml
from tuning import cluster
from tuning.cost import describe
from tuning.memory import probe_sizes
from tuning.plan import Plan, check_store, with_budget
from tuning.progress import Progress, ctrl_c
from tuning.report import write_report
from tuning.results import agreement, ranking, save_best, tables
from tuning.schedulers import DECISIONS, domain, scheduler_of
from tuning.space import read_space
from tuning.trial import trainable

SPACES = {
    "default": {"temperature": [0.1, 0.2, 0.5], "batch_size": [64, 128, 256]},
    "full": {"temperature": [0.05, 0.1, 0.2, 0.5, 1.0], "batch_size": [32, 64, 128, 256, 512]},
    "smoke": {"temperature": [0.1, 0.5], "batch_size": [32, 64]},
}
EPOCHS = {"default": 4, "full": 10, "smoke": 2}
CELLS_PER_EPOCH = {"default": 8192, "full": None, "smoke": None}  # None: all of the store
DRAWN = {"low": 0.05, "high": 1.0, "log": True}  # the temperature, where a search draws it
KEPT_CHECKPOINTS = 4  # of a trial, for others to copy


def start(options, folder):
    """Run a new sweep in `folder`; returns the exit status."""
    plan = make_plan(options)
    at_once = cluster.trials_at_once(plan.cpus_per_trial, plan.gpus_per_trial, plan.max_concurrent)
    store = CellStore.open(plan.store)
    probes = probe_sizes(
        plan, store.images[:64], cluster.memory_per_trial(plan.cpus_per_trial, plan.gpus_per_trial)
    )
    plan = replace(plan, chunk_cells={name: p.chunk_cells for name, p in probes.items() if p.chunk_cells})
    print(describe(plan, len(store), probes, at_once, folder), flush=True)
    if options.dry_run:
        return 0
    save_yaml(plan, folder / "plan.yaml")
    return execute(plan, folder)


def resume(folder):
    """Go on with the sweep in `folder`; returns the exit status."""
    plan = load_yaml(Plan, folder / "plan.yaml")
    cluster.trials_at_once(plan.cpus_per_trial, plan.gpus_per_trial)
    print(f"going on with {plan.count} trials in {folder}")
    return execute(plan, folder)


def make_plan(options):
    """Make the `Plan` of the options; make the simulated crops if they are not there yet."""
    size = "smoke" if options.smoke else "full" if options.full else "default"
    space = SPACES[size] | ({"temperature": DRAWN} if options.search != "grid" else {})
    if options.space:
        space |= read_space(options.space)
    if options.store:
        store = CellStore.open(options.store)
        check_store(store)
    else:
        store = cache.crops(CropConfig(), SimulationConfig.smoke() if options.smoke else SimulationConfig())
    cells_per_epoch = options.cells_per_epoch or CELLS_PER_EPOCH[size]
    training = TrainConfig(epochs=options.epochs or EPOCHS[size], cells_per_epoch=cells_per_epoch)
    gpus = options.gpus_per_trial
    return Plan(
        store=store.path.resolve(),
        training=with_budget(training, store, space),
        space=space,
        seeds=tuple(options.seeds or ((0, 1, 2) if options.full else (0,))),
        search=options.search,
        scheduler=options.scheduler,
        num_samples=options.num_samples or (10 if options.search != "grid" else None),
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=cluster.gpus_at_hand() if gpus is None else gpus,
        max_concurrent=options.max_concurrent,
    )


def execute(plan, folder):
    """Run what is left of a plan, write all tables; returns the exit status."""
    begun, runs = time.time(), folder / "runs"
    try:
        with FileLock(folder / "lock", timeout=0):
            with ctrl_c() as pressed:
                grid = tuner(plan, folder, runs).fit()
            if pressed:
                return 130
            results, history = tables(grid, plan, runs)
    except Timeout:
        raise ValueError(
            f"the sweep in {folder} is running at this moment; wait for it, or stop it first"
        ) from None
    results.to_csv(folder / "results.csv", index=False)
    history.to_csv(folder / "history.csv", index=False)
    minutes = (time.time() - begun) / 60
    return conclude(plan, folder, results, history, minutes)


def tuner(plan, folder, runs):
    """Ray's `Tuner` of a plan: a new one, or that of the sweep in `folder` where it stopped."""
    resources = {"cpu": plan.cpus_per_trial, "gpu": plan.gpus_per_trial}
    work = tune.with_resources(trainable(plan, runs), resources)
    if plan.trials is None:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
    state = folder / "ray"
    if any(state.glob("experiment_state-*.json")):  # `Tuner.can_restore` does not look for it
        return tune.Tuner.restore(str(state), work, resume_unfinished=True, resume_errored=True)
    for begun in (runs, state):  # killed before Ray knew of its trials
        shutil.rmtree(begun, ignore_errors=True)
    if plan.trials is None:
        space = {name: domain(values) for name, values in plan.space.items()} | {"seed": tune.choice(plan.seeds)}
        search, limit = OptunaSearch(seed=plan.seeds[0]), plan.max_concurrent
    else:
        # Every trial is known before the first one starts, so nothing can be lost that is not missed.
        space = {name: tune.choice([settings[name] for settings in plan.trials]) for name in plan.trials[0]}
        search, limit = BasicVariantGenerator(plan.trials, max_concurrent=plan.max_concurrent or 0), None
    return tune.Tuner(
        work,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="retrieval",
            mode="max",
            search_alg=search,
            scheduler=scheduler_of(plan, folder / DECISIONS),
            num_samples=plan.count,
            max_concurrent_trials=limit,
            reuse_actors=not plan.gpus_per_trial,  # a process that ends surely gives its GPU back
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            callbacks=[Progress(plan.count, plan.training.epochs, len(cluster.nodes()))],
        ),
    )


def conclude(plan, folder, results, history, minutes):
    """Print the ranked table and the best settings, write the report; returns the exit status."""
    ranked = ranking(results, plan)
    best = save_best(results, ranked, plan, folder) if len(ranked) else None
    report = write_report(folder, plan, results, history, ranked, agreement(results), best, minutes)
    if best:
        print(ranked.to_string(index=False, float_format="{:.4g}".format))
        for name, value in agreement(results).items():
            if value == value:
                print(f"rank correlation of retrieval with {name.upper()}, over trials: {value:.2f}")
        print(f"best settings: {best[0]}\n  train with them: {best[1]}")
    failed = results[results["error"] != ""]
    for _, row in failed.iterrows():
        settings = ", ".join(f"{name} {row[name]}" for name in [*plan.space, "seed"])
        print(f"failed: {settings}: {row['error']}")
    done = int((results["error"] == "").sum())
    print(f"{done} of {plan.count} trials done: {folder / 'results.csv'}, {report} ({minutes:.1f} min)")
    return 0 if done == plan.count else 3
