"""Objects by their names in Slicer's own scene and in the panel; test_widget.py has a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from panel import label
from SEGSAMLib.Parameters import Parameters
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Replies import FoundObject, Model, NotFound
from SEGSAMLib.Values.Results import AppliedSearch
from volumes import oblique, put, segment_voxels, undo, volume

BLOCK = Region((4, 4, 2), np.ones((6, 6, 5), bool))
BESIDE = Region((8, 8, 2), np.ones((6, 6, 5), bool))
SERVER = SimpleNamespace(
    models=(
        Model("segsam", ("spleen", "esophagus"), finds=True, taught=("Left psoas",)),
        Model("other", ("spleen",)),
    ),
    trainers=(),
)


@pytest.fixture
def logic(scene: Any) -> Any:
    found = Logic(scene)
    found.nodes.select(volume(scene, oblique(), np.zeros((30, 26, 10), np.int16)))
    yield found
    found.close()


def write(logic: Logic, name: str, region: Region) -> str:
    """Write an object as a server's reply does; the segment's id."""
    logic.nodes.run_edit(logic.found_edit(FoundObject(name, region, 0.8), Parameters()))
    return logic.nodes.segment_id


class TestScene:
    def test_each_object_goes_into_the_segment_of_its_name(self, logic: Logic) -> None:
        spleen, liver = write(logic, "spleen", BLOCK), write(logic, "liver", BESIDE)
        assert len({spleen, liver}) == 2
        identity = logic.nodes.identity
        assert identity is not None
        assert (identity.name, identity.chosen_by) == ("liver", "model")
        nodes = logic.nodes
        first, second = (
            segment_voxels(nodes.segmentation, each, nodes.volume) for each in (spleen, liver)
        )
        assert first.sum() == BLOCK.values.sum()
        assert not (first & second).any(), "other segments are kept"
        assert write(logic, "spleen", BESIDE) == spleen, "found again, it is replaced"
        assert len(nodes.segment_ids) == 2
        assert undo(logic)
        again = segment_voxels(nodes.segmentation, spleen, nodes.volume)
        assert np.array_equal(again, first)

    def test_what_a_person_drew_stays(self, logic: Logic) -> None:
        segment_id = logic.nodes.add_segment(category="spleen")
        drawn = Region((20, 20, 5), np.ones((3, 3, 1), bool))
        put(logic, segment_id, drawn)
        assert write(logic, "spleen", BLOCK) == segment_id
        found = segment_voxels(logic.nodes.segmentation, segment_id, logic.nodes.volume)
        assert found.sum() == BLOCK.values.sum() + drawn.values.sum()


class TestPanel:
    def test_it_completes_names_synonyms_and_taught_names(self, module: Any) -> None:
        ui, session = module.ui, module.panel.session
        assert not ui.findEdit.isVisibleTo(ui.promptsSection)
        session.server_info, session.is_connected = SERVER, True
        session.notify_changed()
        assert ui.findEdit.isVisibleTo(ui.promptsSection)
        completer = ui.findEdit.completer()
        for typed, expected in (
            ("PSOAS", {"Left psoas"}),
            ("plee", {"spleen"}),
            ("oesoph", {"oesophagus"}),
            ("xyz", set()),
        ):
            completer.setCompletionPrefix(typed)
            model = completer.completionModel()
            rows = {model.data(model.index(row, 0)) for row in range(model.rowCount())}
            assert rows == expected
        module.panel.refresh()
        assert ui.findEdit.completer() is completer, "the same names, the same list"
        assert not ui.findButton.isEnabled()
        ui.findEdit.setText("spleen")
        assert ui.findButton.isEnabled()
        session.server_info = SimpleNamespace(models=SERVER.models[1:], trainers=())
        session.notify_changed()
        assert not ui.findEdit.isVisibleTo(ui.promptsSection), "another model does not find"

    def test_what_was_found_and_what_not_is_said(self, module: Any) -> None:
        session = module.panel.session
        session.server_info, session.is_connected = SERVER, True
        missing = (
            NotFound("liver", 0.125, "nothing was certain enough"),
            NotFound("nerve", None, ""),
        )
        value = AppliedSearch((("spleen", 0.834),), missing, ("A note.",))
        module.panel.find.handle(SimpleNamespace(kind="done", task="find", value=value))
        assert label(module, "findLabel").splitlines() == [
            "Found: spleen (certainty 83 %).",
            "Not found: liver. That it is there after all: 12 %.",
            "• nothing was certain enough",
            "Not found: nerve.",
            "• A note.",
        ]
        assert label(module, "statusLabel") == "Found: spleen (certainty 83 %)."
