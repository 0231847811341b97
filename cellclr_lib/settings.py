"""Configurations: frozen dataclasses to and from YAML, and the key that names what was made with them.

One dataclass per stage, changed with `dataclasses.replace`, saved as YAML beside what it produced. Nested
dataclasses, tuples and None are understood; an unknown entry is an error, so that a misspelt setting is never
silently ignored.
"""

import hashlib
import json
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import yaml

from cellclr_lib import atomic


def to_dict(config):
    """Plain dict of a (nested) dataclass: only dict, list, str, int, float, bool and None in it.

    Parameters
    ----------
    config : dataclass instance

    Returns
    -------
    dict
        Fields in their order of declaration; tuples become lists and paths become strings.
    """
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def from_dict(cls, values, source=None):
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
        If an entry is unknown, missing without a default, or of the wrong type; names source and entry.
    """
    return _build(cls, values, cls.__name__ if source is None else str(source), "")


def save_yaml(config, path):
    """Write `config` as YAML to the file `path` and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))
    return path


def load_yaml(cls, path):
    """Read a `cls` from the YAML file `path`; what the file does not mention keeps its default.

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
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    return from_dict(cls, {} if values is None else values, path)


def settings_key(*parts):
    """Compute a short name for what is made from these settings: same settings, same name.

    Parameters
    ----------
    *parts : dataclass instances, or anything that JSON can hold
        The settings, and the `VERSION` of each stage that the result depends on.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for part in parts:
        name = type(part).__name__ if is_dataclass(part) else ""
        digest.update(json.dumps([name, _plain(part)], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _plain(value):
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _build(cls, values, source, prefix):
    if not isinstance(values, dict):
        where = f"entry {prefix[:-1]!r} of {source}" if prefix else source
        raise ValueError(f"{where} must hold `name: value` pairs for {cls.__name__}, not {values!r}")
    known = {field.name: field for field in fields(cls)}
    if unknown := [name for name in values if name not in known]:
        raise ValueError(
            f"{source}: unknown entry {prefix + str(unknown[0])!r}; {cls.__name__} knows {', '.join(known)}"
        )
    missing = [
        name
        for name, field in known.items()
        if name not in values and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"{source}: entry {prefix + missing[0]!r} is missing and has no default")
    hints = typing.get_type_hints(cls)
    converted = {name: _convert(value, hints[name], source, prefix + name) for name, value in values.items()}
    try:
        return cls(**converted)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _convert(value, hint, source, name):
    """`value` as the type `hint` asks for; lists become tuples, whole numbers floats, text numbers."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any or isinstance(hint, typing.TypeVar):
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [choice for choice in arguments if choice is not type(None)]
        for choice in choices:
            try:
                return _convert(value, choice, source, name)
            except ValueError:
                if len(choices) == 1:
                    raise
    elif origin is typing.Literal:
        if value in arguments:
            return value
    elif is_dataclass(hint):
        return value if isinstance(value, hint) else _build(hint, value, source, name + ".")
    elif (origin or hint) is tuple and isinstance(value, tuple | list):
        if not arguments:
            return tuple(value)
        of_any_length = len(arguments) == 2 and arguments[1] is Ellipsis
        inner = (arguments[0],) * len(value) if of_any_length else arguments
        if len(inner) == len(value):
            pairs = zip(value, inner, strict=True)
            return tuple(_convert(item, kind, source, f"{name}[{i}]") for i, (item, kind) in enumerate(pairs))
    elif hint is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except (TypeError, ValueError):
            pass
    elif hint is Path and isinstance(value, str | Path):
        return Path(value)
    elif isinstance(value, origin or hint) and not (hint is int and isinstance(value, bool)):
        return value
    expected = getattr(hint, "__name__", None) if origin is None else str(hint)
    raise ValueError(f"{source}: entry {name!r} is {value!r}; expected {expected}")
