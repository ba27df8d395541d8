"""Parameters of the scene, and settings of the computer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from SEGSAMLib.Parameters import Parameters, Settings

FAR = "https://segsam.example.org"
NEAR = "http://127.0.0.1:8000"
TOKEN = "sixteen-characters-at-least"


class TestParameters:
    def test_attributes_are_read_from_any_object(self) -> None:
        node = SimpleNamespace(axis="k", live=False, last_slice=7.0, unknown=3, volume=None)
        read = Parameters.read(node)
        assert (read.axis, read.live, read.last_slice) == ("k", False, 7)
        assert read.protection == Parameters().protection

    @pytest.mark.parametrize(
        ("chosen", "sent"), [("in boxes", None), ("always", True), ("never", False)]
    )
    def test_following_as_the_server_wants_it(self, chosen: str, sent: object) -> None:
        assert Parameters(propagate=chosen).follows is sent


class TestToken:
    def test_it_is_not_kept_unless_wished(self) -> None:
        store: dict[str, str] = {}
        settings = Settings(store)
        settings.set_token(FAR, TOKEN, remember=False)
        assert settings.token(FAR) == TOKEN
        assert TOKEN not in "".join(store.values())
        assert Settings(store).token(FAR) == ""

    def test_it_is_kept_when_wished_and_forgotten_again(self) -> None:
        store: dict[str, str] = {}
        Settings(store).set_token(FAR, TOKEN, remember=True)
        again = Settings(store)
        assert again.token(f"{FAR}/info/") == TOKEN
        assert again.remembers_token(FAR)
        again.set_token(FAR, TOKEN, remember=False)
        assert not Settings(store).remembers_token(FAR)

    def test_it_goes_to_no_other_server(self) -> None:
        settings = Settings({})
        settings.set_token(FAR, TOKEN, remember=True)
        assert settings.token(NEAR) == ""
        assert settings.token("http://segsam.example.org") == ""


class TestConsent:
    def test_this_computer_needs_none(self) -> None:
        assert Settings({}).has_consent(NEAR)

    def test_each_other_server_does(self) -> None:
        store: dict[str, str] = {}
        Settings(store).consent(FAR)
        assert Settings(store).has_consent(f"{FAR}/")
        assert not Settings(store).has_consent("https://other.example.org")

    def test_it_can_be_withdrawn(self) -> None:
        settings = Settings({})
        settings.consent(FAR)
        settings.withdraw_consent(FAR)
        assert not settings.has_consent(FAR)

    def test_damaged_settings_are_no_consent(self) -> None:
        store: dict[str, str] = {}
        store["SEGSAM/consents"] = '{"https": true'
        assert not Settings(store).has_consent(FAR)


class TestLicence:
    def test_it_is_accepted_for_the_weights_of_one_server(self) -> None:
        store: dict[str, str] = {}
        Settings(store).accept_licence(FAR, "segsam", "Research only.")
        again = Settings(store)
        assert again.has_accepted(f"{FAR}/info/", "segsam", "Research only.")
        assert not again.has_accepted(NEAR, "segsam", "Research only.")
        assert not again.has_accepted(FAR, "segsam-fast", "Research only.")
        assert not again.has_accepted(FAR, "segsam", "Research only, and not on Sundays.")

    def test_damaged_settings_are_no_acceptance(self) -> None:
        settings = Settings({"SEGSAM/licences": "[3, {"})
        assert not settings.has_accepted(FAR, "segsam", "Research only.")
        settings.accept_licence(FAR, "segsam", "Research only.")
        assert settings.has_accepted(FAR, "segsam", "Research only.")


def test_servers_are_remembered_the_last_one_first() -> None:
    settings = Settings({})
    assert settings.server == NEAR
    for number in range(15):
        settings.server = f"http://10.0.0.{number}:8000"
    settings.server = "http://10.0.0.9:8000"
    assert settings.server == "http://10.0.0.9:8000"
    assert settings.servers[:2] == ("http://10.0.0.9:8000", "http://10.0.0.14:8000")
    assert len(settings.servers) == 10
