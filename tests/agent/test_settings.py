"""The agent's settings."""

from __future__ import annotations

import pytest

from agent.settings import PREFIX, Settings
from kit.settings import SettingsInvalid, read_settings


def test_the_defaults_are_good_as_they_are() -> None:
    assert read_settings(Settings, prefix=PREFIX, environment={}) == Settings()


def test_every_bad_value_is_told_at_once() -> None:
    environment = {
        "MOORAGE_AGENT_LISTEN_PORT": "70000",
        "MOORAGE_AGENT_RETRY_MOST_SECONDS": "0",
        "MOORAGE_AGENT_LOG_LEVEL": "loud",
    }

    with pytest.raises(SettingsInvalid) as caught:
        read_settings(Settings, prefix=PREFIX, environment=environment)

    assert len(caught.value.details["problems"]) == 3  # type: ignore[arg-type]
