"""The operator's settings of models, memory and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsam.system.folders import default_cache_dir
from segsam_app.config import AppConfig, read_settings
from segsam_app.errors import ConfigError
from segsam_app.limits import Limits
from segsam_app.records import Settings


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
        checkpoint="litemedsam",
        also=("sam", "best.safetensors"),
        device="cuda:1",
        axis="k",
        cache_megabytes=64,
        images_megabytes=512,
        labels=("spleen", "left kidney"),
        warm=False,
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
        ("axis", "z", r"Expected axis to be 'auto', 'i', 'j', 'k' or 'all', got 'z'"),
        ("device", "gpu", r"Expected device to be auto, cpu, cuda.*got 'gpu'"),
        ("runtime", "onnx", r"Expected runtime to be 'auto', 'torch' or 'openvino', got 'onnx'"),
        ("precision", "int4", r"Expected precision to be 'exact', 'fast' or 'auto', got 'int4'"),
        ("cache_megabytes", "-1", r"Expected cache_megabytes to be greater than .* 0, got '-1'"),
        ("images_megabytes", "1e3", r"Expected images_megabytes to be a whole number, got '1e3'"),
        ("labels", "spleen,,liver", r"Expected labels to be different names.*got 'spleen,,liver'"),
        ("labels", "liver,liver", r"Expected labels to be different names.*got 'liver,liver'"),
        (
            "disk_cache_megabytes",
            "much",
            r"disk_cache_megabytes to be a whole number",
        ),
        ("prefetch", "-1", r"Expected prefetch to be greater than .* 0, got '-1'"),
        ("warm", "maybe", r"Expected warm to be on or off, got 'maybe'"),
    ],
)
def test_an_invalid_value_is_refused(key: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        AppConfig.read({key: value}, {})


def test_every_unknown_key_and_every_invalid_value_is_named() -> None:
    with pytest.raises(ConfigError, match="--conf axes, devices are unknown; the app knows"):
        read_settings({"devices": "cpu", "axes": "k"}, {})
    wrong = {"axis": "z", "prefetch": "-1", "queue": "many", "hosts": "a", "sessions": "0"}
    with pytest.raises(ConfigError) as refused:
        read_settings(wrong, {})
    sentences = str(refused.value)
    for name in ("axis", "prefetch", "queue", "sessions"):
        assert f"Expected {name} to be " in sentences
    assert sentences.count("Expected") == 4
    config, limits = read_settings({"axis": "k", "queue": "3"}, {})
    assert (config.axis, limits.queue) == ("k", 3)


@pytest.mark.parametrize("text", ["on", "ON", "true", "1"])
def test_on_is_the_users_cache_folder(text: str) -> None:
    assert AppConfig.read({"disk_cache": text}, {}).disk_cache == default_cache_dir() / "embeddings"


@pytest.mark.parametrize("record", [AppConfig, Limits])
def test_every_setting_has_a_description(record: type[Settings]) -> None:
    assert all(field.description for field in record.model_fields.values())
