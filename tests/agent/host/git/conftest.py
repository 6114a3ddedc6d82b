"""What tests of clones share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent.host.git.clones import WORK, Clones


@pytest.fixture
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clones]:
    made = Clones(tmp_path_factory.mktemp("c"))
    yield made
    assert not (made.folder / "s" / WORK[-8:]).exists()
    assert not (made.folder / WORK / "git").exists()
