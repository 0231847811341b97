"""Train over many GPUs or hosts with Ray Train: ``python tuning/train_distributed.py STORE --workers 8``.

Every worker computes its share of each batch; the negatives of a cell come from all of them, with gradients
(`cellclr_lib.learning.distributed`), so the result is that of one process with the whole batch. A worker that dies
costs the epochs since the last checkpoint; the same command resumes a training that was killed as a whole.
Explained in chapter 8, *tuning*.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import ray.train
from ray.train.torch import TorchTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this folder is not installed as a package

from cellclr_lib.cli_options import STORE, parse
from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig
from tuning import cluster


@dataclass(frozen=True)
class Options:
    """Train over many GPUs or hosts with Ray Train; ``--folder`` is needed, and every host must reach it."""

    store: STORE  #: folder of a cell store that every host can read
    config: Path | None = None  #: YAML file with fields of TrainConfig; batch_size is that of all workers together
    workers: int = 2  #: processes that share each batch
    cpus_per_worker: float = 1.0  #: processors of each
    gpus_per_worker: float | None = None  #: GPUs of each; None: 1 where there are any
    retries: int = 3  #: how often a worker may die
    address: str | None = None  #: Ray cluster to join: host:port, or auto; None: this machine alone


def main(arguments=None):
    """Train; exit status 0: done, 1: bad input, 3: the training failed, 130: interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options, config = parse(Options, arguments, base=TrainConfig(), prog="python tuning/train_distributed.py")
        if config.folder is None:
            raise ValueError("--folder is missing: of checkpoint and history; every host can write it")
        config = replace(config, folder=str(Path(config.folder).resolve()))
        cluster.connect(options.address)
        gpus = cluster.gpus_at_hand() if options.gpus_per_worker is None else options.gpus_per_worker
        if (room := cluster.trials_at_once(options.cpus_per_worker, gpus)) < options.workers:
            raise ValueError(
                f"{options.workers} workers of that size are too many: the cluster has room for {room}"
            )
        store = CellStore.open(options.store.resolve())
        fit(config, store.path, options.workers, options.cpus_per_worker, gpus, options.retries)
    except (FileNotFoundError, ValueError, ConnectionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ray.train.TrainingFailedError as error:
        print(
            f"error: {cluster.last_line(error)}; the same command resumes from the last checkpoint",
            file=sys.stderr,
        )
        return 3
    except KeyboardInterrupt:
        print("interrupted; the same command resumes from the last checkpoint", file=sys.stderr)
        return 130
    finally:
        cluster.disconnect()
    print(f"trained: {Path(config.folder) / 'checkpoint.pt'}")
    return 0


def fit(config, store, workers, cpus=1.0, gpus=0.0, retries=3):
    """Make the training `config` on the store at path `store` with so many workers.

    Raises
    ------
    ray.train.TrainingFailedError
        If workers died more often than `retries` times, or the training itself fails.
    """
    trainer = TorchTrainer(
        work,
        train_loop_config={"config": config, "store": str(store)},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers, use_gpu=gpus > 0, resources_per_worker={"CPU": cpus, "GPU": gpus}
        ),
        run_config=ray.train.RunConfig(
            name="ray",
            storage_path=str(config.folder),
            failure_config=ray.train.FailureConfig(max_failures=retries),
        ),
    )
    trainer.fit()


def work(task):
    """Train in one worker; the library finds the others through torch's process group."""
    import torch

    from cellclr_lib.learning import train
    from cellclr_lib.pipeline.callbacks import ReplicateRetrieval

    device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # "cuda" alone would be the first one for everybody
    store = CellStore.open(task["store"])
    config = replace(task["config"], device=device.type)
    train(store, config, on_epoch=ReplicateRetrieval(store))


if __name__ == "__main__":
    sys.exit(main())
