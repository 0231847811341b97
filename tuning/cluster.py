"""Start or join Ray, and check that it can run what a sweep needs before anything is computed.

Ray would wait for ever for a GPU that no node has; here that is an error, at once.
"""

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import ray

ATTEMPTS = 3  # Ray's own processes have 15 s to come up, too short on a busy machine; a second start is faster


@dataclass(frozen=True)
class Node:
    """Hold what one living node offers."""

    address: str  # of the node
    cpus: float
    gpus: float
    memory: float  # bytes that Ray hands out


def connect(address=None, cpus=None):
    """Start Ray on this machine, or join the cluster at `address` ("auto": the one that runs on this machine).

    Without an address, a Ray that happens to run here is left alone; the one started for this sweep may be limited
    to `cpus` processors. That a cluster asks for a token, the environment must say (`RAY_AUTH_MODE`): Ray reads
    it when it is imported, so it cannot be set here.

    Raises
    ------
    ConnectionError
        If there is no cluster at `address`, or Ray does not start.
    """
    if address:
        _check_reachable(address)
        hint = "if it asks for a token: export RAY_AUTH_MODE=token"
        _attempt(f"join the cluster at {address}", hint, address)
    else:
        hint = "on a busy machine, try again"
        _attempt("start on this machine", hint, "local", ATTEMPTS, include_dashboard=False, num_cpus=cpus)
    for name in ("ray.tune", "ray.train"):  # what a user must know, the sweep says itself
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _check_reachable(address):
    """Raise ConnectionError unless something listens at `address`; Ray itself would ask for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"no Ray cluster at {address} ({error}); --address takes host:port") from error


def _attempt(what, hint, address, times=1, **options):
    """`ray.init`, several times if need be. Workers find this folder as the driver does: it is not installed."""
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    options["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    for left in reversed(range(times)):
        try:
            ray.init(address, log_to_driver=False, logging_level="error", **options)
            return
        except Exception as error:  # a bare Exception if its processes are late
            ray.shutdown()
            if not left:
                raise ConnectionError(f"Ray could not {what}: {last_line(error)} ({hint})") from error


def nodes():
    """List the living nodes."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    return [
        Node(
            node["NodeManagerAddress"],
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
            node["Resources"].get("memory", 0.0),
        )
        for node in alive
    ]


def this_machine(cpus=None):
    """Describe this machine as Ray would, without the seconds that starting Ray takes.

    `cpus` are the processors that it may use.
    """
    from ray._private.accelerators import get_accelerator_manager_for_resource
    from ray._private.utils import get_num_cpus

    gpus = get_accelerator_manager_for_resource("GPU").get_current_node_num_accelerators()
    return Node("this machine", float(cpus or get_num_cpus()), float(gpus), 0.0)


def gpus_at_hand():
    """1 where the cluster has a GPU, else 0: what a trial gets by default."""
    return float(any(node.gpus for node in nodes()))


def trials_at_once(cpus, gpus, limit=None, among=None):
    """Count how many trials run at a time.

    Parameters
    ----------
    cpus, gpus : float
        Of each trial, which must fit on one node.
    limit : int, optional
        The most that shall run.
    among : list of Node, optional
        The living nodes of the cluster if not given.

    Raises
    ------
    ValueError
        If no node can hold one trial; says what the cluster has.
    """
    if not cpus > 0 or gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise ValueError(
            f"a trial of {cpus:g} CPUs and {gpus:g} GPUs is impossible: take more than 0 CPUs, and GPUs of 0 to 1 "
            "or a whole number"
        )
    among = among or nodes()
    places = sum(min(_times(node.cpus, cpus), _times(node.gpus, gpus)) for node in among)
    if not places:
        has = "; ".join(f"{node.address}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in among)
        raise ValueError(
            f"no node can hold a trial of {cpus:g} CPUs and {gpus:g} GPUs; there is {has}; ask for less "
            "with --cpus-per-trial and --gpus-per-trial"
        )
    return min(int(places), limit or int(places))


def memory_per_trial(cpus, gpus):
    """Bytes of main memory for each trial, where as many run on every node as it holds."""
    shares = []
    for node in nodes():
        if places := min(_times(node.cpus, cpus), _times(node.gpus, gpus)):
            shares.append(node.memory / places)
    return min(shares)


def _times(has, needs):
    """Count how many times `needs` goes into `has`; 0.4 of a GPU fits twice, not 2.5: it stays on one GPU."""
    if needs == 0:
        return float("inf")
    if needs < 1 and has >= 1:
        return int(has) * int(1 / needs + 1e-9)
    return int(has / needs + 1e-9)


def disconnect():
    """Leave the cluster, or end the Ray that was started here."""
    ray.shutdown()


def last_line(error):
    """Return what went wrong, in one line."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
