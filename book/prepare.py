"""Make everything that the chapters share, with progress bars: ``python book/prepare.py``.

The chapters ask for the same results and would make them themselves; made here, their progress can be seen.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import yaml

from cellclr_lib.data import SimulationConfig
from cellclr_lib.learning import TrainConfig
from cellclr_lib.pipeline import cache


def main(arguments=None):
    """Simulate, crop, train, and compute the features of every compared method, where not yet in the cache."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--params", type=Path, help="YAML file: chapter → parameter → value")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    parameters = yaml.safe_load(options.params.read_text(encoding="utf-8")) if options.params else {}
    values = parameters.get("training", {})
    source = SimulationConfig.smoke() if values.get("small_screen") else SimulationConfig()
    settings = {field.name for field in dataclasses.fields(TrainConfig)}
    chosen = {name: value for name, value in values.items() if name in settings}
    training = TrainConfig(**chosen)
    print(f"1/4 simulated screen: {cache.screen(source)}", flush=True)
    print(f"2/4 crops: {cache.crops(source=source)}", flush=True)
    print(f"3/4 trained encoder: {cache.checkpoint(training, source=source).checkpoint}", flush=True)
    for method in cache.METHODS:
        print(f"4/4 features: {method} {cache.features(method, training, source=source)[1].shape}", flush=True)
    print(f"the cache {cache.folder()} now holds {cache.size() / 1e9:.1f} GB")


if __name__ == "__main__":
    sys.exit(main())
