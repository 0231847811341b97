"""Show a running sweep, and end it on Ctrl-C."""

import os
import signal
import time
from contextlib import contextmanager

from ray import tune


class Progress(tune.Callback):
    """Print one line per epoch of a trial, since Ray's own output is switched off."""

    def __init__(self, count, epochs, nodes=1):
        self.count, self.epochs, self.nodes = count, epochs, nodes

    def setup(self, stop=None, num_samples=None, total_num_samples=None, **info):
        """Start the clock: again when a sweep is resumed."""
        self.start = time.time()

    def on_trial_result(self, iteration, trials, trial, result, **info):
        """Say how far a trial is."""
        where = f" on {result['node_ip']}" if self.nodes > 1 else ""
        epoch, retrieval = result["epoch"], result["retrieval"]
        self._say(f"{_settings(trial)}: epoch {epoch}/{self.epochs}, retrieval {retrieval:.3f}{where}")

    def on_trial_complete(self, iteration, trials, trial, **info):
        """Count the finished trials."""
        epoch = (trial.last_result or {}).get("epoch", self.epochs)
        stopped = f" (stopped early after epoch {epoch})" if epoch < self.epochs else ""
        # Ray calls this before it notes the end of this very trial.
        done = 1 + sum(other.status == "TERMINATED" for other in trials if other is not trial)
        self._say(f"{done} of {self.count} trials done{stopped}")

    def on_trial_recover(self, iteration, trials, trial, **info):
        """Say that a failed trial gets its second chance."""
        self._say(f"{_settings(trial)}: failed, tried once more")

    def on_trial_error(self, iteration, trials, trial, **info):
        """Say that a trial failed for good."""
        self._say(f"{_settings(trial)}: failed again, given up")

    def _say(self, text):
        print(f"  [{time.time() - self.start:4.0f} s] {text}", flush=True)


@contextmanager
def ctrl_c():
    """While Ray works, Ctrl-C saves and ends the sweep; a second one ends it at once.

    Yields a list that is empty until Ctrl-C was pressed. Ray itself would return as if nothing had happened, so it
    is stopped by its other signal, and the press is recorded here.
    """
    pressed = []

    def stop(number, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        print("\nstopping; what the trials have reported is saved", flush=True)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _settings(trial):
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.config.items()
    )
