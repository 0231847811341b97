"""Make everything that the chapters share, with progress bars: ``python book/prepare.py``.

The chapters ask for the same artefacts and would make them themselves; made here, their progress can be seen.
"""

import logging
import sys

from cellclr_lib import artifacts


def main():
    """Simulate, crop, train, and compute the features of every compared method, where not yet in the cache."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    print(f"1/4 simulated screen: {artifacts.screen()}", flush=True)
    print(f"2/4 crops: {artifacts.crops()}", flush=True)
    print(f"3/4 trained encoder: {artifacts.checkpoint().checkpoint}", flush=True)
    for method in artifacts.METHODS:
        print(f"4/4 features: {method} {artifacts.features(method)[1].shape}", flush=True)
    print(f"the cache {artifacts.cache()} now holds {artifacts.size() / 1e9:.1f} GB")


if __name__ == "__main__":
    sys.exit(main())
