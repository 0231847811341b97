"""Sweeps run as a user runs them: their own process, a tiny store, a folder of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

TIMEOUT_S = 900  # ends what hangs, however slow the machine


@dataclass(frozen=True)
class Sweep:
    """How to run sweeps on one store."""

    repository: Path
    store: Path

    def command(self, storage, name, *options):
        """The command line of a sweep."""
        return [sys.executable, "tuning/sweep.py", "--storage", str(storage), "--name", name, *options]

    def new(self, *options):
        """Options of a short new sweep: two batch sizes, two temperatures."""
        return ["--smoke", "--store", str(self.store), *options]

    def run(self, storage, name, *options, wrapper=()):
        """Run a sweep to its end."""
        process = self.start(storage, name, *options, wrapper=wrapper, stderr=subprocess.PIPE)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, storage, name, *options, wrapper=(), stderr=subprocess.STDOUT):
        """Start a sweep and return at once; it is killed if it takes too long."""
        command = [*wrapper, *self.command(storage, name, *options)]
        process = subprocess.Popen(
            command, cwd=self.repository, env=environment(), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=stderr, bufsize=1,
        )  # fmt: skip
        limit = threading.Timer(TIMEOUT_S, end_session, [process])
        limit.daemon = True
        limit.start()
        return process


def end_session(process):
    """Kill a process that has not ended, and what it has started: Ray."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def environment():
    """The environment of a user who has set nothing of Ray's but, for a cluster, that it asks for a token."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_") or "AUTH" in name}


@pytest.fixture(scope="session")
def sweep(repository, tiny_store):
    """Runs sweeps on the crops of the tiny screen."""
    return Sweep(repository, tiny_store.path)
