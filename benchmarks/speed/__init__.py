"""Measure the rows of the speed table, one file each: ours and its peers on the same work, in turn."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `experiments` lies beside this folder
