"""Configurations survive YAML, and mistakes in a file are named."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from cellclr_lib import settings as configs


@dataclass(frozen=True)
class Inner:
    sigma_px: tuple[float, float] = (0.1, 2.0)
    shape: tuple[int, ...] = (1, 2, 3)
    used: bool = True


@dataclass(frozen=True)
class Outer:
    name: str = "small"
    lr: float = 1e-3
    epochs: int = 5
    limit: int | None = None
    folder: str | Path | None = None
    mode: Literal["auto", "bf16"] = "auto"
    inner: Inner = field(default_factory=Inner)
    dose: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.epochs < 0:
            raise ValueError(f"epochs is {self.epochs}; expected 0 or more")


CHANGED = Outer("x", 0.5, 7, 3, "there", "bf16", Inner((0.0, 1.5), (4,), False), {"low": 1})


@pytest.mark.parametrize("config", [Outer(), CHANGED])
def test_yaml_round_trip(config, tmp_path):
    path = configs.save_yaml(config, tmp_path / "new" / "config.yaml")
    assert configs.load_yaml(Outer, path) == config
    assert configs.from_dict(Outer, configs.to_dict(config)) == config


def test_plain_dict_holds_no_tuples():
    assert configs.to_dict(CHANGED)["inner"] == {"sigma_px": [0.0, 1.5], "shape": [4], "used": False}


def test_what_is_not_mentioned_keeps_its_default(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("lr: 1e-4\ninner:\n  used: false\n")  # PyYAML reads 1e-4 as text
    assert configs.load_yaml(Outer, path) == Outer(lr=1e-4, inner=Inner(used=False))
    read = {"1e-4": 1e-4, "1E+2": 100.0, "-2e3": -2000.0, "3.": 3.0, "5": 5.0, ".inf": float("inf")}
    for text, lr in read.items():
        path.write_text(f"lr: {text}\n")
        assert configs.load_yaml(Outer, path).lr == lr
    path.write_text("")
    assert configs.load_yaml(Outer, path) == Outer()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "unknown entry 'epoch'"),
        ("inner: {sigma: 3}", "unknown entry 'inner.sigma'"),
        ("epochs: many", "'epochs' is 'many'; expected a valid integer"),
        ("epochs: true", "'epochs' is True; expected a valid integer"),
        ("epochs: 3.5", "'epochs' is 3.5; expected a valid integer"),
        ("epochs: '3'", "'epochs' is '3'; expected a valid integer"),
        ("lr: [1]", "'lr' is .*expected a valid number"),
        ("lr: true", "'lr' is True; expected a valid number"),
        ("used: 1", "unknown entry 'used'; Outer knows name, lr"),
        ("inner: {used: 1}", "'inner.used' is 1; expected a valid boolean"),
        ("folder: 3", "entry 'folder' is 3; expected"),
        ("mode: fp8", "'mode' is 'fp8'"),
        ("inner: 3", "entry 'inner'.* must hold"),
        ("inner: {sigma_px: [1, 2, 3]}", "'inner.sigma_px'"),
        ("inner: {shape: [a]}", "'inner.shape\\[0\\]'"),
        ("epochs: -1", "epochs is -1; expected 0 or more$"),
        ("- 1", "must hold"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_name_file_and_entry(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        configs.load_yaml(Outer, path)
    assert "mine.yaml" in str(caught.value)


def test_missing_file_and_missing_entry(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        configs.load_yaml(Outer, tmp_path / "nowhere.yaml")

    @dataclass
    class Needs:
        this: int

    with pytest.raises(ValueError, match="'this' is missing"):
        configs.from_dict(Needs, {})


def test_key_follows_settings_and_versions():
    first = configs.settings_key(Outer(), 1)
    assert len(first) == 12 and first == configs.settings_key(Outer(), 1)
    assert first != configs.settings_key(dataclasses.replace(Outer(), epochs=6), 1)
    assert first != configs.settings_key(Outer(), 2)
    assert configs.settings_key(Inner()) != configs.settings_key(configs.to_dict(Inner()))
