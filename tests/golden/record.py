"""Record the outputs of every stage: ``python tests/golden/record.py`` writes ``golden.json``.

It refuses to write a stage whose output changed while no VERSION did, its own or that of a stage before it.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).parent)]  # tuning, and the files here

from golden_check import GOLDEN, VERSIONS, check, versions_of  # noqa: E402
from stages import STAGES, Inputs  # noqa: E402


def main():
    """Write what is new; what did not change stays as it was recorded."""
    recorded = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    found = {}
    torch.set_num_threads(1)  # more of them would wait for each other: the networks are small
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(folder)
        for name, stage in STAGES.items():
            output = stage(inputs)
            if name in recorded and recorded[name]["versions"] == versions_of(name):
                check(name, versions_of(name), recorded[name], output)
                output = recorded[name]["output"]
            found[name] = {"versions": versions_of(name), "output": output}
            print(f"{name}: version {VERSIONS[name]}, {len(output)} values")
    GOLDEN.write_text(dumps(found))


def dumps(found):
    """JSON with one line per recorded value."""
    stages = []
    for name, stage in found.items():
        lines = ",\n".join(f"   {json.dumps(label)}: {json.dumps(v)}" for label, v in stage["output"].items())
        versions = json.dumps(stage["versions"])
        stages.append(f' {json.dumps(name)}: {{\n  "versions": {versions},\n  "output": {{\n{lines}\n  }}\n }}')
    return "{\n" + ",\n".join(stages) + "\n}\n"


if __name__ == "__main__":
    main()
