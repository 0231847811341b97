"""Define what a sweep varies: which parameters, which values, and the training that they make.

A space maps the name of a field of `TrainConfig` ("temperature", "views.elastic_p") to the list of its values, or
for random search to a range ``{low: …, high: …, log: true}``.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import yaml

from cellclr_lib.learning import TrainConfig
from cellclr_lib.settings import from_dict, to_dict
from cellclr_lib.views import ViewConfig

REFERENCE_BATCH = 256  # at this batch size the learning rate is the one of the configuration
VIEWS = {"default": ViewConfig, "paper": ViewConfig.paper, "none": ViewConfig.none}


def read_space(path):
    """Read the space in the YAML file `path`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or an entry is neither a list nor a range; names file, entry and remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; --space takes a YAML file such as `lr: [0.0003, 0.001]`")
    try:
        space = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(space, dict) or not space:
        raise ValueError(f"{path} must hold `parameter: [values]` pairs")
    for name, values in space.items():
        if is_range(values):
            low, high = _number(values["low"]), _number(values["high"])
            if not low < high or (values.get("log") and low <= 0):
                raise ValueError(f"{path}: the range of {name!r} must rise, and be positive if it is logarithmic")
            space[name] = {"low": low, "high": high} | ({"log": True} if values.get("log") else {})
        elif isinstance(values, list) and values:
            space[name] = [_number(value) for value in values]
        else:
            raise ValueError(
                f"{path}: entry {name!r} is {values!r}; expected a list of values or a range "
                "{low: …, high: …, log: true}"
            )
    return space


def is_range(values):
    """Test whether a parameter is drawn from a range, not from a list."""
    return isinstance(values, dict) and {"low", "high"} <= set(values) <= {"low", "high", "log"}


def grid(space, seeds):
    """List every combination of the values, once per seed, as dicts of settings."""
    names, values = [*space, "seed"], [*space.values(), seeds]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]


def sample(space, count, seeds, generator):
    """`count` random combinations, each once per seed; a list of dicts of settings."""
    drawn = [{name: _draw(values, generator) for name, values in space.items()} for _ in range(count)]
    return [settings | {"seed": seed} for settings in drawn for seed in seeds]


def training_of(settings, base, source="the space"):
    """Make the `TrainConfig` of one trial: `base` with its settings and a learning rate that suits its batch size.

    The learning rate of `base`, or of the settings, holds for a batch of 256 cells. It is scaled with the square
    root of the batch size for AdamW and in proportion to it for LARS.

    Raises
    ------
    ValueError
        If a parameter or its value is unknown; names `source`.
    """
    values = to_dict(base)
    for name, value in settings.items():
        if name == "views" and value in VIEWS:
            value = to_dict(VIEWS[value]())
        place, (*path, last) = values, name.split(".")
        for step in path:
            place = place.get(step)
            if not isinstance(place, dict):
                raise ValueError(f"{source}: unknown entry {name!r}")
        place[last] = value
    training = from_dict(TrainConfig, values, source)
    power = {"adamw": 0.5, "lars": 1.0}[training.optimizer]
    values["lr"] = training.lr * (training.batch_size / REFERENCE_BATCH) ** power
    return from_dict(TrainConfig, values, source)


def common_budget(batch_sizes, cells):
    """Largest number of cells, at most `cells`, that every batch size divides: the same budget for all trials.

    Raises
    ------
    ValueError
        If there is none.
    """
    step = math.lcm(*batch_sizes)
    if step > cells:
        raise ValueError(
            f"the batch sizes {', '.join(map(str, sorted(set(batch_sizes))))} have no common multiple among the "
            f"{cells} cells of an epoch; take sizes that divide each other, or smaller ones"
        )
    return cells // step * step


def _draw(values, generator):
    if not is_range(values):
        return values[generator.integers(len(values))]
    ends = np.array([values["low"], values["high"]])
    drawn = np.exp(generator.uniform(*np.log(ends))) if values.get("log") else generator.uniform(*ends)
    return float(f"{drawn:.4g}")  # a value that can be read aloud, and typed again


def _number(value):
    """YAML 1.1 reads 1e-3 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
