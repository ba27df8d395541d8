"""Which file is which image: no two share a label, none changes under its label, none is lost."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from segsam.errors import LabelError
from segsam.imaging.label_files import read_labels
from segsam.imaging.readers import read_grid
from segsam.imaging.writers import write_image
from segsam_app.check_files import check_studies
from segsam_app.choosing.overviews import Overviews
from segsam_app.choosing.strategies import SelectionStrategy
from segsam_app.errors import ConflictError, NotFoundError, RequestError
from segsam_app.ids import checked_id, is_image_id
from segsam_app.routes import datastore as routes
from segsam_app.storage import found_labels, image_contents
from segsam_app.storage.adoption import LabelAdoption
from segsam_app.storage.label_metadata import LabelMetadata
from segsam_app.storage.scan import FolderScanner
from segsam_app.training.cases import labelled_cases, usable_cases

from ...dicom_writing import write_series
from ..stored import AFFINE, SHAPE, label, make_studies, voxels_of, write
from .test_places import Client, _App, opened

OTHER = (10, 11, 5)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    made: Path = make_studies(tmp_path / "studies", 1)
    return made


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Client]:
    def of(folder: Path) -> Client:
        store = opened(folder)
        monkeypatch.setattr(routes, "app_instance", lambda: _App(store))
        return Client(store)

    return of


def image(folder: Path, name: str, shape: tuple[int, ...] = SHAPE) -> Path:
    folder.mkdir(exist_ok=True)
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    if name.endswith((".nii", ".nii.gz")):
        return write(folder / name, voxels)
    write_image(folder / name, voxels, AFFINE)
    return folder / name


def drawn(folder: Path, value: int, ending: str) -> Path:
    path: Path = folder / f"drawn{value}{ending}"
    write_image(path, label(value), AFFINE)
    return path


def value_of(path: str) -> int:
    file = Path(path)
    if file.name.endswith((".nii", ".nii.gz")):
        return int(voxels_of(file).max())
    return int(read_labels(file, read_grid(file)).as_one_map().max())


class TestImagesWhoseLabelsWouldHaveOneName:
    @pytest.mark.parametrize("twin", ["col.seg.nii.gz", "col.SEG.nii.gz", "col.seg.seg.nii"])
    def test_of_two_new_ones_one_is_left_out(self, tmp_path: Path, twin: str) -> None:
        image(tmp_path, "col.nii.gz")
        image(tmp_path, twin)
        store = opened(tmp_path)
        assert store.list_images() == ["col"]
        reason = "its name is that of a segmentation of col; rename it"
        assert store.status()["left_out"] == {twin: reason}

    @pytest.mark.parametrize("restarts", [False, True])
    def test_the_one_that_is_known_stays_with_its_labels(
        self, tmp_path: Path, restarts: bool
    ) -> None:
        studies = tmp_path / "studies"
        image(studies, "col.seg.nii.gz")
        store = opened(studies)
        store.save("col.seg", drawn(tmp_path, 3, ".nrrd"), "final", {})
        assert (studies / "labels/final/col.seg.nrrd").is_file()
        image(studies, "col.nii.gz")
        store = opened(studies) if restarts else store
        assert store.list_images() == ["col.seg"]
        assert "col.seg" in store.status()["left_out"]["col.nii.gz"]
        store.refresh()
        assert value_of(store.get_label_uri("col.seg", "final")) == 3
        assert store.get_label_info("col.seg", "final")["version"] == 1
        with pytest.raises(NotFoundError):
            store.save("col", drawn(tmp_path, 2, ".seg.nrrd"), "final", {})

    def test_a_refused_label_is_that_of_its_image(self, tmp_path: Path) -> None:
        studies = tmp_path / "studies"
        image(studies, "col.seg.nii.gz", OTHER)
        (studies / "labels/final").mkdir(parents=True)
        drawn(tmp_path, 4, ".nrrd").rename(studies / "labels/final/col.seg.nrrd")
        assert list(opened(studies).refused_labels("final")) == ["col.seg"]

    def test_one_alone_keeps_the_label_of_another_program(self, tmp_path: Path) -> None:
        studies = tmp_path / "studies"
        image(studies, "col.seg.nii.gz")
        (studies / "labels/final").mkdir(parents=True)
        drawn(tmp_path, 4, ".nrrd").rename(studies / "labels/final/col.seg.nrrd")
        for _ in range(2):
            store = opened(studies)
            assert value_of(store.get_label_uri("col.seg", "final")) == 4

    def test_the_label_of_one_that_is_gone_is_not_that_of_the_other(self, tmp_path: Path) -> None:
        studies = tmp_path / "studies"
        image(studies, "col.seg.nii.gz")
        opened(studies).save("col.seg", drawn(tmp_path, 3, ".nrrd"), "final", {})
        (studies / "col.seg.nii.gz").rename(studies / "col.nii.gz")
        store = opened(studies)
        assert store.list_images() == ["col"]
        assert store.get_label_uri("col", "final") == ""
        assert store.history_of("col", "final").all() == []
        store.save("col", drawn(tmp_path, 5, ".nii.gz"), "final", {})
        assert value_of(store.get_label_uri("col", "final")) == 5
        assert value_of(str(studies / "labels/final/col.seg.nrrd")) == 3

    def test_an_upload_that_would_make_a_pair_is_refused(
        self, tmp_path: Path, client: Callable[[Path], Client]
    ) -> None:
        studies = tmp_path / "studies"
        content = image(studies, "col.seg.nii.gz").read_bytes()
        here = client(studies)
        for name in ("col", "col.seg.seg"):
            files = {"file": ("x.nii.gz", content)}
            reply = here.ask("PUT", "/datastore/image", params={"image": name}, files=files)
            assert reply.status_code == (409 if name == "col" else 400)
            assert "col" in reply.json()["detail"]
        assert [path.name for path in studies.glob("*.nii.gz")] == ["col.seg.nii.gz"]

    def test_a_pair_whose_other_file_was_never_scanned(self, studies: Path) -> None:
        store = opened(studies)
        image(studies, "new.seg.nii.gz")
        with pytest.raises(ConflictError, match=r"new\.seg"):
            store.add_image("new", str(studies / "case0.nii.gz"), {})

    def test_an_id_that_is_the_name_of_a_label_is_no_image(self, studies: Path) -> None:
        with pytest.raises(RequestError, match="name of a label"):
            opened(studies).add_image("x.label", str(studies / "case0.nii.gz"), {})

    def test_where_small_and_large_letters_are_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image(tmp_path, "A.nii.gz")
        image(tmp_path, "a.nrrd")
        assert sorted(opened(tmp_path).list_images()) == ["A", "a"]
        shutil.rmtree(tmp_path / "labels")
        (tmp_path / "datastore_v2.json").unlink()
        monkeypatch.setattr(FolderScanner, "_folds_case", lambda _: True)
        store = opened(tmp_path)
        assert store.list_images() == ["A"]
        assert "image A" in store.status()["left_out"]["a.nrrd"]
        with pytest.raises(ConflictError):
            store.add_image("a", str(image(tmp_path, "A.nii.gz")), {})

    def test_one_letter_in_two_spellings(self, tmp_path: Path) -> None:
        image(tmp_path, "\u00fc.nii.gz")
        image(tmp_path, "u\u0308.nii.gz")
        store = opened(tmp_path)
        assert store.list_images() == ["\u00fc"]
        assert list(store.status()["left_out"]) == ["u\u0308.nii.gz"]


class TestAnImageThatIsReplaced:
    @pytest.mark.parametrize("newcomer", ["case0.nrrd", "case0.mha", "case0.NII.GZ", "case0.nii"])
    @pytest.mark.parametrize("restarts", [False, True])
    def test_the_file_that_is_known_stays_the_image(
        self, studies: Path, tmp_path: Path, newcomer: str, restarts: bool
    ) -> None:
        store = opened(studies)
        store.save("case0", drawn(tmp_path, 2, ".nii.gz"), "final", {})
        if newcomer.isupper() or newcomer.endswith(".GZ"):
            image(tmp_path, "x.nii.gz", OTHER).rename(studies / newcomer)
        else:
            image(studies, newcomer, OTHER)
        for _ in range(2):
            store = opened(studies) if restarts else store
            assert Path(store.get_image_uri("case0")).name == "case0.nii.gz"
            reason = "the image case0 is case0.nii.gz; rename one of them"
            assert store.status()["left_out"] == {newcomer: reason}
            assert store.get_labeled_images() == ["case0"]
        assert check_studies(studies).listed() == {}
        (studies / "case0.nii.gz").unlink()
        assert Path(store.get_image_uri("case0")).name == newcomer

    @pytest.mark.parametrize("how", ["renamed over", "written into"])
    def test_a_label_on_another_grid_than_its_image_has_now(
        self, studies: Path, tmp_path: Path, client: Callable[[Path], Client], how: str
    ) -> None:
        here = client(studies)
        here.store.save("case0", drawn(tmp_path, 2, ".nii.gz"), "final", {})
        assert here.store.get_labeled_images() == ["case0"]
        assert here.get().headers.get("x-notes") is None
        old = (studies / "case0.nii.gz").read_bytes()
        new = image(tmp_path, "new.nii.gz", OTHER)
        if how == "renamed over":
            new.rename(studies / "case0.nii.gz")
            assert here.store.list_images() == ["case0"]  # nobody asks about labels
        else:
            (studies / "case0.nii.gz").write_bytes(new.read_bytes())
            assert here.store.status()["completed"] == 0
        name = "labels/final/case0.nii.gz"
        for said in (here.store.damage.listed()[name], check_studies(studies).listed()[name]):
            assert said.startswith(
                "the label of case0 lies on another grid than its image has now: the label: "
                "8x9x4 voxels of 1.5 x 1.5 x 4 mm"
            )
            assert "the image: 10x11x5 voxels" in said
        reply = here.get()
        assert reply.status_code == 200
        assert "another grid" in reply.headers["x-notes"]
        store = here.store
        assert "another grid" in store.get_label_info("case0", "final")["grid_note"]
        assert store.status()["completed"] == 0
        assert (store.get_labeled_images(), store.get_unlabeled_images()) == ([], ["case0"])
        usable, left_out = usable_cases(labelled_cases(store))
        assert (usable, [one.image for one in left_out]) == ([], ["case0"])
        assert "another grid" in left_out[0].reason
        (studies / "case0.nii.gz").write_bytes(old)
        assert store.get_labeled_images() == ["case0"]
        assert store.damage.listed() == {}
        assert here.get().headers.get("x-notes") is None

    def test_it_is_named_after_a_start_and_until_a_new_label_comes(
        self, studies: Path, tmp_path: Path
    ) -> None:
        opened(studies).save("case0", drawn(tmp_path, 2, ".nii.gz"), "final", {})
        image(tmp_path, "new.nii.gz", OTHER).rename(studies / "case0.nii.gz")
        store = opened(studies)
        store.check_records()  # as a server does when it starts
        assert list(store.damage.listed()) == ["labels/final/case0.nii.gz"]
        with pytest.raises(LabelError, match="8x9x4"):
            store.save("case0", drawn(tmp_path, 3, ".nii.gz"), "final", {})
        fitting = write(tmp_path / "fits.nii.gz", label(4, OTHER))
        store.save("case0", fitting, "final", {})
        assert store.get_labeled_images() == ["case0"]
        assert store.damage.listed() == {}

    def test_headers_are_read_once(
        self, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, read = opened(studies), list[object]()
        store.save("case0", drawn(tmp_path, 2, ".nii.gz"), "final", {})
        placed = found_labels.placement_of
        monkeypatch.setattr(
            found_labels, "placement_of", lambda *it: (read.append(it), placed(*it))[1]
        )
        for _ in range(5):
            store.status()
            store.get_label_info("case0", "final")
        assert len(read) == 1


class TestAnotherImageOfTheSameGrid:
    """Nothing but the content tells the two apart."""

    @pytest.fixture
    def pair(self, tmp_path: Path, client: Callable[[Path], Client]) -> Client:
        """Two images of one grid with a label each."""
        here = client(make_studies(tmp_path / "studies", 2))
        folder = here.store._folder
        voxels = np.arange(np.prod(SHAPE), dtype=np.int16)[::-1].reshape(SHAPE)
        write(folder / "case1.nii.gz", voxels)
        for number in (0, 1):
            drawing = drawn(tmp_path, 2 + number, ".nii.gz")
            here.store.save(f"case{number}", drawing, "final", {})
        return here

    def swap(self, folder: Path) -> None:
        """Let the two images change their names, times and all."""
        for old, new in (("case0", "x"), ("case1", "case0"), ("x", "case1")):
            (folder / f"{old}.nii.gz").rename(folder / f"{new}.nii.gz")

    @pytest.mark.parametrize("restarts", [False, True])
    def test_two_that_change_their_names(self, pair: Client, restarts: bool) -> None:
        store, folder = pair.store, pair.store._folder
        assert store.get_labeled_images() == ["case0", "case1"]
        self.swap(folder)
        if restarts:
            store = opened(folder)
            store.check_records()  # as a server does when it starts
        else:
            assert pair.get().headers["x-notes"].startswith('["the label of case0 is of another')
            assert store.status()["completed"] == 0
        names = [f"labels/final/case{number}.nii.gz" for number in (0, 1)]
        for said in (store.damage.listed(), check_studies(folder).listed()):
            assert list(said) == names
            assert all("of another image than lies there now" in why for why in said.values())
        info = store.get_label_info("case0", "final")
        assert ("another image" in info["image_note"], "grid_note" in info) == (True, False)
        assert (store.get_labeled_images(), store.datalist()) == ([], [])
        usable, left_out = usable_cases(labelled_cases(store))
        assert (usable, [one.image for one in left_out]) == ([], ["case0", "case1"])
        assert "another image" in left_out[0].reason
        self.swap(folder)
        assert store.get_labeled_images() == ["case0", "case1"]
        assert (store.damage.listed(), check_studies(folder).listed()) == ({}, {})
        assert "image_note" not in store.get_label_info("case0", "final")

    def test_a_look_alone_notices_it(self, pair: Client) -> None:
        """A monitor polls the health only, and nobody lists anything."""
        image(pair.store._folder, "case0.nii.gz", OTHER)
        self.swap(pair.store._folder)
        assert pair.store.damage.listed() == {}
        pair.store.look_at_labels()
        said = pair.store.damage.listed()
        assert "another image" in said["labels/final/case0.nii.gz"]
        assert "another grid" in said["labels/final/case1.nii.gz"]

    def test_what_keeps_the_content_is_no_change(self, pair: Client, tmp_path: Path) -> None:
        file = pair.store._folder / "case0.nii.gz"
        voxels, packed = gzip.decompress(file.read_bytes()), file.read_bytes()
        os.utime(file)
        assert pair.store.get_labeled_images() == ["case0", "case1"]
        file.unlink()
        file.write_bytes(packed)
        assert pair.store.get_labeled_images() == ["case0", "case1"]
        file.write_bytes(gzip.compress(voxels, 1))
        pair.store.look_at_labels()
        assert pair.store.get_labeled_images() == ["case0", "case1"]
        assert pair.store.damage.listed() == {}
        assert pair.get().headers.get("x-notes") is None

    def test_a_picture_that_is_overwritten(
        self, tmp_path: Path, client: Callable[[Path], Client]
    ) -> None:
        studies = tmp_path / "studies"
        studies.mkdir()
        picture = np.zeros((64, 64), np.uint8)
        Image.fromarray(picture).save(studies / "case0.png")
        here = client(studies)
        mask = np.zeros((64, 64, 1), np.uint8)
        mask[20:30, 20:30] = 1
        Image.fromarray(mask[:, :, 0]).save(tmp_path / "mask.png")
        here.store.save("case0", tmp_path / "mask.png", "final", {})
        assert here.get().headers.get("x-notes") is None
        Image.fromarray(picture + 9).save(studies / "case0.png")
        assert "another image" in here.get().headers["x-notes"]
        assert here.store.get_unlabeled_images() == ["case0"]

    def test_a_series_of_which_one_slice_is_another(self, tmp_path: Path) -> None:
        studies = tmp_path / "studies"
        write_series(studies / "p7", seed=1)
        store = opened(studies)
        (series,) = store.list_images()
        grid = read_grid(Path(store.get_image_uri(series)))
        write_image(tmp_path / "l.nii.gz", label(1, grid.shape_ijk), grid.affine_ras)
        store.save(series, tmp_path / "l.nii.gz", "final", {})
        assert store.history_of(series, "final").all()[0].image_sha256
        first, second = sorted((studies / "p7").iterdir())[:2]
        first.rename(first.with_name("renamed.dcm"))
        assert store.get_labeled_images() == [series]
        write_series(tmp_path / "other", seed=2)
        (tmp_path / "other" / second.name).replace(second)
        ids = store.list_images()
        assert store.get_labeled_images() == [] or series not in ids

    def test_labels_of_before_get_the_content_silently(
        self, pair: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = pair.store._folder
        for name in ("datastore_v2.json", "datastore_v2.journal", ".segsam/contents.json"):
            (folder / name).unlink(missing_ok=True)
        for record in folder.glob("labels/final/.versions/*/*.json"):
            content = json.loads(record.read_text())
            content["info"] = {}
            record.write_text(json.dumps(content))
        store = opened(folder)
        before = {path: path.read_bytes() for path in folder.rglob("0001.json")}
        assert "image_sha256" not in store.get_label_info("case0", "final")
        store.look_at_labels()
        assert len(store.get_label_info("case0", "final")["image_sha256"]) == 64
        assert {path: path.read_bytes() for path in folder.rglob("0001.json")} == before
        self.swap(folder)
        assert opened(folder).get_labeled_images() == []
        assert "image_sha256" not in LabelMetadata.read({"image_sha256": "a" * 64}).info

    def test_each_content_is_read_once(self, pair: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever asks, and also after a start; a save reads no large image."""
        store, read = pair.store, list[object]()
        found = image_contents.content_of
        monkeypatch.setattr(
            image_contents, "content_of", lambda it: (read.append(it), found(it))[1]
        )
        store.look_at_labels()
        store.status()
        again = opened(store._folder)
        again.check_records()
        pair.get()
        assert read == []
        os.utime(store._folder / "case0.nii.gz")
        drawing = drawn(store._folder.parent, 5, ".nii.gz")
        monkeypatch.setattr(LabelAdoption._writer, "__defaults__", (10,))
        saved = store.save("case0", drawing, "final", {})
        assert (saved.image_sha256, read) == ("", [])
        store.look_at_labels()
        assert len(read) == 1
        assert store.get_label_info("case0", "final")["image_sha256"]

    def test_a_damaged_record_of_the_contents_is_made_again(self, pair: Client) -> None:
        store, folder = pair.store, pair.store._folder
        store.look_at_labels()
        file = folder / ".segsam" / "contents.json"
        good = file.read_bytes()
        for place in range(30, 200, 17):
            file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            assert list(check_studies(folder).listed()) == [".segsam/contents.json"]
            again = opened(folder)
            again.look_at_labels()
            assert again.get_labeled_images() == ["case0", "case1"]
            assert check_studies(folder).listed() == {}

    def test_a_version_of_the_earlier_image_is_not_put_back(
        self, pair: Client, tmp_path: Path
    ) -> None:
        store, file = pair.store, pair.store._folder / "case0.nii.gz"
        old = file.read_bytes()
        self.swap(store._folder)
        store.save("case0", drawn(tmp_path, 5, ".nii.gz"), "final", {})
        assert store.get_labeled_images() == ["case0"]
        reply = pair.restore(1)
        assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
        assert "version 1 is a label of another image" in reply.json()["detail"]
        assert store.get_label_info("case0", "final")["version"] == 2
        image(tmp_path, "new.nii.gz", OTHER).replace(file)
        assert "the label has 8x9x4 voxels" in pair.restore(2).json()["detail"]
        assert pair.restore(2).status_code == 422
        assert pair.restore(1).status_code == 422
        assert len(store.history_of("case0", "final").all()) == 2
        file.write_bytes(old)
        assert pair.restore(1).status_code == 200
        assert store.get_labeled_images() == ["case0"]


SPELLED = [
    *("\u00fcmlaut", "u\u0308mlaut", "\u60a3\u8005 7", "\u0391\u03b8\u03ae\u03bd\u03b1", "\u05d0"),
    *("\u092e\u0930\u0940\u091c", "\ud658\uc790", "\u043f\u0430\u0446\u0438\u0435\u043d\u0442_1"),
]
NO_NAMES = [
    *("-dash", "<b>", "a;b", "a\nb", "a\u202eb", "x" * 190, "\u60a3" * 70, "CON", "a..b", "\uff41"),
    *("\u212b", "a\u200bb", "\u3164", "\u0308a", "a\ufe0f", "a\u2215b", "a\u037eb", "\ufb01"),
]


class TestNames:
    @pytest.mark.parametrize("name", SPELLED)
    def test_letters_of_any_script_name_an_image(
        self, tmp_path: Path, client: Callable[[Path], Client], name: str
    ) -> None:
        studies = tmp_path / "studies"
        content = image(studies, f"{name}.nii.gz").read_bytes()
        here = client(studies)
        assert here.store.list_images() == [name]
        got = here.ask("GET", "/datastore/image", params={"image": name})
        assert (got.status_code, got.content) == (200, content)
        said = got.headers["content-disposition"]
        assert unquote(said.partition("filename*=utf-8''")[2]) == f"{name}.nii.gz"
        files = {"label": ("d.nii.gz", drawn(tmp_path, 2, ".nii.gz").read_bytes())}
        query = {"image": name, "tag": "final"}
        assert here.ask("PUT", "/datastore/label", params=query, files=files).status_code == 200
        got = here.ask("GET", "/datastore/label", params={"label": name, "tag": "final"})
        assert got.content == files["label"][1]
        assert opened(studies).get_labeled_images() == [name]
        uploaded = {"file": ("x.nii.gz", content)}
        query = {"image": f"{name} 2"}
        assert here.ask("PUT", "/datastore/image", params=query, files=uploaded).status_code == 200
        assert (studies / f"{name} 2.nii.gz").is_file()

    @pytest.mark.parametrize("name", NO_NAMES)
    def test_what_is_no_id_is_no_image_and_named(self, studies: Path, name: str) -> None:
        (studies / "case0.nii.gz").rename(studies / f"{name}.nii.gz")
        store = opened(studies)
        assert store.list_images() == []
        assert store.status()["total"] == 0
        ((path, reason),) = store.status()["left_out"].items()
        assert path.isprintable()
        assert "no id: one which" in reason
        assert "1 to 128 letters" in reason
        strategy = SelectionStrategy("first", Overviews.__new__(Overviews), lambda: None)
        assert strategy({}, store) is None

    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            ("CON", "is the name of a device in Windows"),
            ("x..y", "has two dots in a row"),
            ("sp ", "ends in a blank"),
            ("trailing.", "ends in a dot"),
            ("-dash", "begins with something else"),
            ("u\u0308\u00fc", "spells some letters whole (NFC) and others in parts (NFD)"),
            ("a\u2215b", "has the character '\\u2215'"),
            ("\ufb01", "has a look-alike that Unicode keeps for old encodings"),
            ("x" * 190, "is too long"),
        ],
    )
    def test_the_rule_that_a_name_breaks_is_said(self, studies: Path, name: str, rule: str) -> None:
        (studies / "case0.nii.gz").rename(studies / f"{name}.nii.gz")
        assert rule in next(iter(opened(studies).status()["left_out"].values()))
        with pytest.raises(RequestError, match=re.escape(rule)):
            checked_id("image", name)

    @pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
    def test_a_label_that_spells_its_image_otherwise(
        self, tmp_path: Path, forms: tuple[str, str]
    ) -> None:
        of_image, of_label = (unicodedata.normalize(form, "M\u00fcller") for form in forms)
        image(tmp_path, f"{of_image}.nii.gz")
        folder = tmp_path / "labels" / "final"
        folder.mkdir(parents=True)
        drawn(tmp_path, 3, ".nrrd").rename(folder / f"{of_label}.nrrd")
        (reason,) = opened(tmp_path).status()["left_out"].values()
        assert f"otherwise than that of the image {of_image!r}" in reason
        assert f"({forms[0]})" in reason
        (folder / f"{of_label}.nrrd").rename(folder / f"{of_image}.nrrd")
        assert opened(tmp_path).get_labeled_images() == [of_image]

    def test_what_is_not_shown_is_written_out(self, studies: Path) -> None:
        (studies / "a\u202eb\n.nii.gz").touch()
        (studies / os.fsdecode(b"\xff\xfe.nii.gz")).touch()
        (studies / "labels/final").mkdir(parents=True)
        (studies / "labels/final" / os.fsdecode(b"\xff.nii.gz")).touch()
        left_out = opened(studies).status()["left_out"]
        assert set(left_out) == {
            *("a\\u202eb\\n.nii.gz", "\\udcff\\udcfe.nii.gz"),
            "labels/final/\\udcff.nii.gz",
        }

    def test_a_series_in_a_folder_whose_name_is_no_unicode(self, studies: Path) -> None:
        write_series(studies / os.fsdecode(b"p\xff"))
        store = opened(studies)
        (series,) = [one for one in store.list_images() if one != "case0"]
        assert Path(store.get_image_uri(series)).is_file()

    def test_files_that_are_no_images_are_named_as_a_batch_does(self, studies: Path) -> None:
        names = ("a.gif", "b.webp", "c.zip", "noending", "notes.txt", "x.seg.nrrd", "sub/d.gif")
        (studies / "sub").mkdir()
        for name in (*names, ".hidden", "Thumbs.db", ".DS_Store"):
            (studies / name).write_bytes(b"something else" * 20)
        store = opened(studies)
        assert store.list_images() == ["case0"]
        left_out = store.status()["left_out"]
        assert set(left_out) == set(names)
        assert left_out["a.gif"].startswith("not DICOM, and its name does not end in .nii.gz")
        assert left_out["notes.txt"] == "not an image"
        assert list(left_out)[-2:] == ["notes.txt", "x.seg.nrrd"]
        for number in range(300):
            (studies / f"{number}.gif").touch()
        assert len(store.status()["left_out"]) == 100

    @pytest.mark.parametrize("name", ["tag", "model", "session_id", "strategy"])
    def test_other_ids_are_ascii(self, name: str) -> None:
        with pytest.raises(RequestError):
            checked_id(name, "\u00e9")

    def test_names_of_files_are_never_too_long(self, tmp_path: Path) -> None:
        longest = "\u60a3" * 66
        assert is_image_id(longest)
        assert not is_image_id(longest + "ab\u00e9")
        ending = ".seg.nrrd.damaged-20260102T030405-006789"
        (tmp_path / f"{longest}{ending}").touch()

    @pytest.mark.parametrize(
        "name",
        ["a.nii", "a.nii.gz", "0001", "0001.json", "a.aside-20260102T030405-006789", "a.nrrd"],
    )
    def test_ids_that_look_like_the_names_of_the_store(self, tmp_path: Path, name: str) -> None:
        studies = tmp_path / "studies"
        image(studies, "a.nii.gz")
        image(studies, f"{name}.nii.gz")
        store = opened(studies)
        for value, one, ending in ((2, "a", ".nii"), (3, name, ".nrrd"), (4, "a", ".seg.nrrd")):
            store.save(one, drawn(tmp_path, value, ending), "final", {})
        for _ in range(2):
            assert value_of(store.get_label_uri("a", "final")) == 4
            assert value_of(store.get_label_uri(name, "final")) == 3
            assert [one.kind for one in store.history(name, "final").all()] == ["saved"]
            store = opened(studies)
