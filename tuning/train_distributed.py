"""Train over many GPUs or hosts with Ray Train: ``python tuning/train_distributed.py STORE --workers 8``.

Every worker computes its share of each batch; the negatives of a cell come from all of them, with gradients
(`cellclr_lib.learning.distributed`), so the result is that of one process with the whole batch. A worker that dies
costs the epochs since the last checkpoint; the same command resumes a training that was killed as a whole.
Explained in chapter 8, *tuning*.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import ray.train
from ray.train.torch import TorchTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this folder is not installed as a package

from cellclr_lib.data import CellStore
from cellclr_lib.learning import TrainConfig
from cellclr_lib.settings import load_yaml
from tuning import cluster


def main(arguments=None):
    """Train; exit status 0: done, 1: bad input, 3: the training failed, 130: interrupted."""
    options = parser().parse_args(arguments)
    try:
        cluster.connect(options.address)
        gpus = cluster.gpus_at_hand() if options.gpus_per_worker is None else options.gpus_per_worker
        if (room := cluster.trials_at_once(options.cpus_per_worker, gpus)) < options.workers:
            raise ValueError(
                f"{options.workers} workers of that size are too many: the cluster has room for {room}"
            )
        config = load_yaml(TrainConfig, options.config) if options.config else TrainConfig()
        config = replace(config, folder=str(options.folder.resolve()))
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


def parser():
    """Make the argument parser."""
    top = argparse.ArgumentParser(prog="python tuning/train_distributed.py", description=__doc__.split("\n")[0])
    top.add_argument("store", type=Path, help="folder of a cell store that every host can read")
    top.add_argument(
        "--folder", type=Path, required=True, help="of checkpoint and history; every host can write it"
    )
    top.add_argument("--config", type=Path, help="YAML file with fields of TrainConfig; batch_size is that of all")
    top.add_argument("--workers", type=int, default=2, help="processes that share each batch (default: 2)")
    top.add_argument("--cpus-per-worker", type=float, default=1.0, help="default: 1")
    top.add_argument("--gpus-per-worker", type=float, help="default: 1 where there are any")
    top.add_argument("--retries", type=int, default=3, help="how often a worker may die (default: 3)")
    top.add_argument("--address", help="Ray cluster to join: host:port, or auto (default: this machine alone)")
    return top


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
