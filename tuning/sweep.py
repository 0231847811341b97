"""Sweep temperature × batch size with Ray Tune: ``python tuning/sweep.py``.

Trials are ranked on MoA-free replicate retrieval (other plates of the same week). The loss cannot rank them, since
its scale moves with temperature and batch size; NSC and NSCB must not, since they are reported. Both are written
beside the rank. Explained in chapter 8, *tuning*; for GPUs and clusters see tuning/README.md.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this folder is not installed as a package

from cellclr_lib.cli_options import refuse_addresses
from cellclr_lib.data import CellStore
from tuning import cluster

RESUMED = {"resume", "storage", "name", "address", "cpus"}  # what may be said again; the plan holds the rest


def main(arguments=None):
    """Run a sweep; exit status 0: all trials done, 1: bad input, 3: some trials failed, 130: interrupted."""
    options = parser().parse_args(arguments)
    try:
        refuse_addresses(sys.argv[1:] if arguments is None else arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    folder = (options.storage / options.name).resolve()
    again = ["python", "tuning/sweep.py", "--resume", "--storage", str(options.storage), "--name", options.name]
    again = shlex.join(again + (["--address", options.address] if options.address else []))
    try:
        check_name(options, folder)
        if options.store:
            CellStore.open(options.store)
        if not options.resume and not options.address:
            here = [cluster.this_machine(options.cpus)]
            cluster.trials_at_once(options.cpus_per_trial, options.gpus_per_trial or 0.0, among=here)
        cluster.connect(options.address, options.cpus)
        if not options.resume:
            cluster.trials_at_once(options.cpus_per_trial, options.gpus_per_trial or 0.0)
        from tuning.run import resume, start

        status = resume(folder) if options.resume else start(options, folder)
    except (FileNotFoundError, ValueError, ConnectionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        status = 130
    finally:
        cluster.disconnect()
    if status == 130:
        known = (folder / "plan.yaml").exists()
        print(f"interrupted; {f'resume with: {again}' if known else 'nothing was begun yet'}", file=sys.stderr)
    return status


def parser():
    """Make the argument parser."""
    top = argparse.ArgumentParser(prog="python tuning/sweep.py", description=__doc__.split("\n")[0])
    size = top.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="four short trials on a tiny simulated screen")
    size.add_argument(
        "--full", action="store_true", help="5 temperatures × 5 batch sizes × 3 seeds, longer trials"
    )

    what = top.add_argument_group("what to try")
    what.add_argument("--store", type=Path, help="cell store to train on (default: the simulated screen's)")
    what.add_argument("--space", type=Path, help="YAML file with more parameters of the training and their values")
    what.add_argument("--search", choices=["grid", "random", "optuna"], default="grid", help="default: grid")
    what.add_argument("--num-samples", type=int, help="settings that a search draws (default: 10)")
    what.add_argument(
        "--seeds", type=int, nargs="+", help="every setting once per seed (default: 0; --full: 0 1 2)"
    )

    long = top.add_argument_group("how long")
    long.add_argument("--epochs", type=int, help="epochs of every trial")
    long.add_argument("--cells-per-epoch", type=int, help="cells drawn per epoch (default: 8192; full: all)")
    long.add_argument(
        "--scheduler", choices=["none", "asha", "pbt"], default="none",
        help="asha stops weak trials early, pbt replaces them by changed copies of strong ones (default: none)",
    )  # fmt: skip
    long.add_argument("--dry-run", action="store_true", help="say what would run and what it would cost, then end")

    where = top.add_argument_group("where to run")
    where.add_argument("--cpus-per-trial", type=float, default=1.0, help="default: 1")
    where.add_argument(
        "--gpus-per-trial", type=float, help="fractions share a GPU (default: 1 where there is one)"
    )
    where.add_argument("--cpus", type=int, help="processors of this machine to use (default: all)")
    where.add_argument("--max-concurrent", type=int, help="trials at a time (default: as many as fit)")
    where.add_argument("--address", help="Ray cluster to join: host:port, or auto (default: this machine alone)")

    kept = top.add_argument_group("where it lies")
    kept.add_argument(
        "--storage", type=Path, default=Path("sweeps"), help="folder of all sweeps (default: sweeps)"
    )
    kept.add_argument("--name", default=time.strftime("sweep-%Y%m%d-%H%M%S"), help="name of this sweep")
    kept.add_argument("--resume", action="store_true", help="resume the sweep of that name")
    return top


def check_name(options, folder):
    """Raise ValueError if a new sweep takes a name in use, or a resumed one is not there or is to change."""
    defaults = vars(parser().parse_args([]))
    if not options.resume:
        if folder.exists():
            raise ValueError(f"{folder} holds a sweep already; choose another --name, or resume it: --resume")
        return
    if not (folder / "plan.yaml").exists():
        raise FileNotFoundError(f"no sweep in {folder} (no plan.yaml); say which with --storage and --name")
    changed = [name for name, value in vars(options).items() if name not in RESUMED and value != defaults[name]]
    if changed:
        raise ValueError(
            f"--resume takes {folder / 'plan.yaml'} as it is; leave out --{changed[0].replace('_', '-')}, "
            "or start a new sweep under another --name"
        )


if __name__ == "__main__":
    sys.exit(main())
