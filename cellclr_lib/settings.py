"""Read and save configurations, which are frozen dataclasses, as YAML, and name what was made with them by a key.

One dataclass per stage, changed with `dataclasses.replace`, saved as YAML beside what it produced. Nested
dataclasses, tuples and None are understood. Converting and checking is done by pydantic, in its strict mode and
from JSON: a text is no number, ``true`` is no 1, a list is a tuple. An unknown entry is an error, so that a
misspelt setting is never silently ignored. The classes stay those of the standard library, whose own messages
(``epochs is 0; expected 1 or more``) take one line, without a link.
"""

import hashlib
import json
import re
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from cellclr_lib import atomic

Config = TypeVar("Config")


class _Loader(yaml.SafeLoader):
    """Read ``1e-4`` as a number, as YAML 1.2 does and PyYAML does not."""


_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))


def to_dict(config: Any) -> dict[str, Any]:
    """Convert a (nested) dataclass to a dict of dict, list, str, int, float, bool and None only.

    Parameters
    ----------
    config : dataclass instance

    Returns
    -------
    dict
        Fields in their order of declaration; tuples become lists and paths become strings.

    Examples
    --------
    >>> from cellclr_lib.data import CropConfig
    >>> to_dict(CropConfig(crop_px=64))["crop_px"]
    64
    """
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def from_dict(cls: type[Config], values: object, source: str | Path | None = None) -> Config:
    """Build the dataclass `cls` from a plain dict; what is not mentioned keeps its default.

    Parameters
    ----------
    cls : dataclass type
    values : dict
        As `to_dict` gives it.
    source : str or path, optional
        Where the values come from, for error messages.

    Returns
    -------
    cls

    Raises
    ------
    ValueError
        If an entry is unknown, missing without a default, of the wrong type or impossible; names source and entry.

    Examples
    --------
    >>> from cellclr_lib.data import CropConfig
    >>> from_dict(CropConfig, {"crop_px": 64}).crop_px
    64
    >>> from_dict(CropConfig, {"crop": 64}, "mine.yaml")
    Traceback (most recent call last):
    ValueError: mine.yaml: unknown entry 'crop'; CropConfig knows crop_px, ...
    """
    where = cls.__name__ if source is None else str(source)
    if not isinstance(values, dict):
        raise ValueError(f"{where} must hold `name: value` pairs for {cls.__name__}, not {values!r}")
    try:
        return pydantic.TypeAdapter(cls).validate_json(json.dumps(_plain(values)), strict=True, extra="forbid")
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
    entry, owner = _locate(cls, first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(field.name for field in fields(typing.cast(Any, owner)))
        raise ValueError(f"{where}: unknown entry {entry!r}; {owner.__name__} knows {known}")
    if first["type"] == "missing":
        raise ValueError(f"{where}: entry {entry!r} is missing and has no default")
    if first["type"] == "value_error":  # what the dataclass itself says
        raise ValueError(f"{where}: {first['ctx']['error']}")
    if first["type"].startswith("dataclass"):
        raise ValueError(f"{where}: entry {entry!r} must hold `name: value` pairs, not {first['input']!r}")
    expected = first["msg"].removeprefix("Input should be ")
    raise ValueError(f"{where}: entry {entry!r} is {first['input']!r}; expected {expected}")


def save_yaml(config: Any, path: str | Path) -> Path:
    """Write `config` as YAML to the file `path` and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))
    return path


def load_yaml(cls: type[Config], path: str | Path, *, base: Config | None = None) -> Config:
    """Read a `cls` from a YAML file.

    Parameters
    ----------
    cls : dataclass type
    path : str or path
    base : cls, optional
        What holds for the fields that the file does not mention; the defaults of `cls` if not given.

    Returns
    -------
    cls

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not YAML, or as for `from_dict`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file {path}")
    values = parse_yaml(path.read_text(encoding="utf-8"), path)
    values = {} if values is None else values
    if base is not None and isinstance(values, dict):
        values = to_dict(base) | values
    return from_dict(cls, values, path)


def parse_yaml(text: str, source: str | Path) -> Any:
    """Read a value written in YAML.

    Parameters
    ----------
    text : str
    source : str or path
        Where it comes from, for error messages.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    ValueError
        If it is not YAML; names `source`.

    Examples
    --------
    >>> parse_yaml("{lr: 1e-4, input_px: null}", "an example")
    {'lr': 0.0001, 'input_px': None}
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not valid YAML: {error}") from error


def settings_key(*parts: Any) -> str:
    """Compute a short name for what is made from these settings: same settings, same name.

    Parameters
    ----------
    *parts : dataclass instances, or anything that JSON can hold
        The settings, and the `VERSION` of each stage that the result depends on.

    Returns
    -------
    str
        12 hexadecimal digits.

    Examples
    --------
    >>> settings_key("train", 1) == settings_key("train", 1) != settings_key("train", 2)
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        name = type(part).__name__ if is_dataclass(part) else ""
        digest.update(json.dumps([name, _plain(part)], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _locate(cls: type, place: Sequence[int | str]) -> tuple[str, type]:
    """Write a place within `cls` as text, such as ``views.crop[0]``, and name the dataclass that holds it."""
    entry, owner = "", cls
    inner: Any = cls
    for step in place:
        if isinstance(step, int):
            entry += f"[{step}]"
            continue
        if not is_dataclass(inner):
            break  # a member of a union, which is no entry
        owner = typing.cast(type, inner)
        entry += f".{step}" if entry else step
        hint = typing.get_type_hints(owner).get(step)
        inner = next((kind for kind in (hint, *typing.get_args(hint)) if is_dataclass(kind)), None)
    return entry, owner
