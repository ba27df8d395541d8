"""The operator's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsam.system.folders import default_cache_dir
from segsam_app.config import AppConfig
from segsam_app.errors import ConfigError


def test_without_settings_the_defaults_hold() -> None:
    config = AppConfig.read({}, {})
    assert config.checkpoint is None
    assert config.axis == "auto"
    assert config.labels == ()
    assert config.models == {"segsam": None}
    assert config.warm
    assert AppConfig.read(None, {}) == config
    assert config.disk_cache == default_cache_dir() / "embeddings"
    assert AppConfig().disk_cache is None, "nothing is written for who does not ask"


def test_every_setting_is_read_from_its_text() -> None:
    config = AppConfig.read(
        {
            "checkpoint": "litemedsam",
            "also": "sam, best.safetensors",
            "device": "cuda:1",
            "axis": "k",
            "cache_megabytes": "64",
            "images_megabytes": "512",
            "labels": "spleen, left kidney",
            "warm": "off",
            "disk_cache": "kept",
            "disk_cache_megabytes": "7",
            "prefetch": "12",
        },
        {},
    )
    assert config == AppConfig(
        "litemedsam",
        ("sam", "best.safetensors"),
        "cuda:1",
        "k",
        64,
        512,
        ("spleen", "left kidney"),
        False,
        disk_cache=Path("kept").absolute(),
        disk_cache_megabytes=7,
        prefetch=12,
    )
    assert config.disk_cache_bytes == 7 * 1024 * 1024
    assert config.cache_bytes == 64 * 1024 * 1024
    assert config.images_bytes == 512 * 1024 * 1024
    assert config.models == {"segsam": "litemedsam", "sam": "sam", "best": "best.safetensors"}


@pytest.mark.parametrize("also", ["segsam", "a/best.safetensors,b/best.safetensors"])
def test_two_models_of_one_name_are_refused(also: str) -> None:
    with pytest.raises(ConfigError, match=r"there is a model '(segsam|best)' already"):
        _ = AppConfig.read({"also": also}, {}).models


@pytest.mark.parametrize("text", ["off", "OFF", "false", "0", ""])
def test_the_disk_can_be_switched_off(text: str) -> None:
    assert AppConfig.read({"disk_cache": text}, {}).disk_cache is None


def test_the_command_line_wins_over_the_environment() -> None:
    env = {"SEGSAM_AXIS": "i", "SEGSAM_DEVICE": "cpu"}
    config = AppConfig.read({"axis": "j"}, env)
    assert (config.axis, config.device) == ("j", "cpu")


def test_keys_of_monai_label_itself_pass() -> None:
    assert AppConfig.read({"server_mode": "true"}, {}) == AppConfig.read({}, {})


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"--conf axes is unknown.*axis, .*cache_megabytes"):
        AppConfig.read({"axes": "k"}, {})


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("axis", "z", r"axis must be one of auto, i, j, k, all, got 'z'"),
        ("device", "gpu", r"device must be auto, cpu, cuda.*got 'gpu'"),
        ("runtime", "onnx", r"runtime must be one of auto, torch, openvino, got 'onnx'"),
        ("precision", "int4", r"precision must be one of exact, fast, got 'int4'"),
        ("cache_megabytes", "-1", r"whole number of megabytes, got '-1'"),
        ("images_megabytes", "1e3", r"whole number of megabytes, got '1e3'"),
        ("labels", "spleen,,liver", r"different names"),
        ("labels", "liver,liver", r"different names"),
        ("disk_cache_megabytes", "much", r"whole number of megabytes, got 'much'"),
        ("prefetch", "-1", r"prefetch must be a whole number of slices, got '-1'"),
        ("warm", "maybe", r"warm must be on or off, got 'maybe'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(key: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        AppConfig.read({key: value}, {})
