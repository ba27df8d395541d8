"""Images, predictors and embeddings that outlive a prompt."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from segsam.categories import Categories, Category
from segsam.errors import CheckpointError, VolumeError, VolumeNotFoundError
from segsam.model import SegSam
from segsam.model.runtimes import EncoderRunner, RuntimeFacts
from segsam.model.runtimes.encode_times import EncodeTimes
from segsam_app.config import AppConfig
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer

from ...lib.conftest import TinyHost

ROOMY = AppConfig(device="cpu", checkpoint="litemedsam")


def write(path: Path, value: int = 0, side: int = 32) -> Path:
    voxels = np.random.default_rng(value).integers(0, 200, (side, side, 2)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(tmp_path / "image.nii")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(ROOMY)


def test_a_slower_precision_is_told_in_the_log_and_in_info(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    note = "Precision fast takes 896 ms here where exact takes 461: use exact or auto."
    times = EncodeTimes(exact_s=0.461, fast_s=0.896)
    facts = RuntimeFacts("openvino", "fast", "OpenVINO in bf16, from /a/folder.", times, note)
    asked: list[str] = []

    def choose(model: SegSam, runtime: str, precision: str) -> EncoderRunner:
        asked.append(precision)
        return EncoderRunner(model).with_runtime(None, facts)

    monkeypatch.setattr("segsam_app.inference.engine.choose_runtime", choose)
    config = AppConfig(device="cpu", checkpoint="litemedsam", precision="fast")
    engine = Engine(config)
    infer = SegSamInfer(engine, config)
    assert infer.info()["encoder"] is None, "nothing is loaded, or timed, for a description"
    _ = engine.model
    assert asked == ["fast"]
    assert note in [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert infer.info()["encoder"] == {
        "runtime": "openvino",
        "precision": "fast",
        "times": {"exact_s": 0.461, "fast_s": 0.896},
        "notes": [note],
    }


class TestImages:
    def test_an_image_is_read_once(self, image: Path) -> None:
        engine = Engine(ROOMY)
        with ThreadPoolExecutor(4) as pool:
            volumes = list(pool.map(lambda _: engine.volume(image), range(8)))
        assert all(volume is volumes[0] for volume in volumes)

    def test_a_file_that_was_written_again_is_read_again(self, image: Path) -> None:
        engine = Engine(ROOMY)
        first = engine.volume(image)
        write(image, value=1)
        os.utime(image, ns=(1, 1))
        second = engine.volume(image)
        assert (first.voxels != second.voxels).any()

    def test_one_that_another_program_gave_the_same_time_is_read_again(self, image: Path) -> None:
        engine, before = Engine(ROOMY), image.stat()
        first = engine.volume(image)
        for replace in (False, True):
            other = write(image.with_name("other.nii"), value=1 + replace)
            if replace:
                other.replace(image)
            else:
                image.write_bytes(other.read_bytes())
            os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert image.stat().st_size == before.st_size
            second = engine.volume(image)
            assert (first.voxels != second.voxels).any()
            first = second

    def test_they_stay_open_while_they_fit(self, tmp_path: Path) -> None:
        engine = Engine(AppConfig(images_megabytes=1, checkpoint="litemedsam"))
        paths = [write(tmp_path / f"{n}.nii", n, side=512) for n in range(2)]
        first = engine.volume(paths[0])
        assert engine.volume(paths[0]) is first  # alone, it stays although it is over the limit
        engine.volume(paths[1])
        assert engine.volume(paths[0]) is not first

    def test_a_temporary_image_does_not_stay_open(self, image: Path) -> None:
        engine = Engine(ROOMY)
        assert engine.volume(image, temporary=True) is not engine.volume(image, temporary=True)

    def test_a_bad_image_is_refused_every_time(self, tmp_path: Path) -> None:
        engine = Engine(ROOMY)
        bad = tmp_path / "bad.nii"
        bad.write_bytes(b"garbage")
        for _ in range(2):
            with pytest.raises(VolumeError, match=r"bad\.nii"):
                engine.volume(bad)

    def test_a_deleted_image_is_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeNotFoundError, match=r"there is no image 'x\.nii' any more"):
            Engine(ROOMY).volume(tmp_path / "x.nii")


class TestPredictors:
    def test_one_for_each_window(self, engine: Engine, image: Path) -> None:
        volume = engine.volume(image)
        plain = engine.predictor(image, volume)
        wide = engine.predictor(image, volume, (0.0, 100.0))
        assert engine.predictor(image, volume) is plain
        assert engine.predictor(image, volume, (0.0, 100.0)) is wide
        assert wide is not plain

    def test_the_least_recently_used_windows_are_dropped(self, engine: Engine, image: Path) -> None:
        volume = engine.volume(image)
        first = engine.predictor(image, volume, (0.0, 1.0))
        for high in range(2, 6):
            engine.predictor(image, volume, (0.0, float(high)))
        assert engine.predictor(image, volume, (0.0, 1.0)) is not first

    def test_a_temporary_image_has_a_predictor_of_its_own(
        self, engine: Engine, image: Path
    ) -> None:
        volume = engine.volume(image, temporary=True)
        assert engine.predictor(image, volume) is not engine.predictor(image, volume)

    def test_all_share_one_model(self, engine: Engine) -> None:
        assert engine.model is engine.model

    def test_another_checkpoint_has_its_own(self, engine: Engine, image: Path) -> None:
        volume = engine.volume(image)
        with pytest.raises(CheckpointError, match="no-such-weights"):
            engine.predictor(image, volume, checkpoint="no-such-weights")
        assert engine.model_of("litemedsam") is engine.model

    def test_unknown_weights_are_refused_when_they_are_needed(self, image: Path) -> None:
        engine = Engine(AppConfig(checkpoint="no-such-weights"))
        volume = engine.volume(image)
        with pytest.raises(CheckpointError, match="no-such-weights"):
            engine.predictor(image, volume)


class TestInteractive:
    def test_background_work_waits(self, engine: Engine) -> None:
        done = threading.Event()

        def wait() -> None:
            engine.wait_for_idle()
            done.set()

        thread = threading.Thread(target=wait)
        with engine.interactive():
            thread.start()
            assert not done.wait(0.2)
        assert done.wait(10)
        thread.join()


class TestDisk:
    @pytest.fixture(autouse=True)
    def tiny(self, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        liver = Category("liver", (1, 2, 3), texture="Grey.", shape="Round.", position="Inside.")
        made_up = Categories((liver,), np.zeros((1, 12), np.float32), "made up for a test")
        encoder = EncoderRunner(SegSam(TinyHost(), made_up).eval())
        monkeypatch.setattr(Engine, "encoder_of", lambda engine, checkpoint: encoder)

    def encode(self, engine: Engine, folder: Path, image: Path) -> int:
        """Return the number of files on disk after one slice of the image was encoded."""
        engine.predictor(image, engine.volume(image)).warm()
        engine.flush()
        return len(list(folder.glob("*.safetensors")))

    def test_the_next_server_finds_what_this_one_encoded(self, image: Path, tmp_path: Path) -> None:
        config = ROOMY.model_copy(update={"disk_cache": tmp_path / "cache"})
        assert self.encode(Engine(config), tmp_path / "cache", image) == 1
        again = Engine(config)
        assert self.encode(again, tmp_path / "cache", image) == 1
        assert (again.cached.misses, again.cached.disk_hits) == (0, 1)
        assert again.cached.disk_limit_bytes == 4096 << 20

    def test_embeddings_of_a_session_are_not_written(self, tmp_path: Path) -> None:
        (tmp_path / "sessions").mkdir()
        image = write(tmp_path / "sessions" / "image.nii")
        config = ROOMY.model_copy(update={"disk_cache": tmp_path / "cache"})
        engine = Engine(config, temporary_folders=[tmp_path / "sessions"])
        assert self.encode(engine, tmp_path / "cache", image) == 0

    def test_embeddings_of_an_upload_are_not_written(self, image: Path, tmp_path: Path) -> None:
        engine = Engine(ROOMY.model_copy(update={"disk_cache": tmp_path / "cache"}))
        engine.predictor(image, engine.volume(image, temporary=True)).warm()
        engine.flush()
        assert list((tmp_path / "cache").iterdir()) == []

    def test_a_folder_that_cannot_be_made_is_logged(
        self, image: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = Engine(ROOMY.model_copy(update={"disk_cache": image / "cache"}))
        assert "kept in memory only (setting disk_cache)" in caplog.text
        assert engine.cached.disk_limit_bytes == 0

    @pytest.mark.parametrize("off", [{"disk_cache": None}, {"disk_cache_megabytes": 0}])
    def test_the_disk_cache_can_be_off(self, tmp_path: Path, off: dict[str, Any]) -> None:
        Engine(ROOMY.model_copy(update={"disk_cache": tmp_path / "cache", **off}))
        assert not (tmp_path / "cache").exists()
