"""Build paths stay inside the context."""

from __future__ import annotations

import pytest

from agent.rules.build_paths import BuildPathForbidden, parse_build_path


@pytest.mark.parametrize("text", ["Dockerfile", "./Dockerfile", "app/docker/Dockerfile", ".", "..hidden"])
def test_a_relative_path_is_taken(text: str) -> None:
    assert not parse_build_path(text, what="path").is_absolute()


@pytest.mark.parametrize("text", ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b", "a\nb", "a\rb"])
def test_a_path_that_leaves_the_upload_is_refused_by_name(text: str) -> None:
    with pytest.raises(BuildPathForbidden, match="Dockerfile path"):
        parse_build_path(text, what="Dockerfile path")
