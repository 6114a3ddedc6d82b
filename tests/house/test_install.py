"""An install that is not editable holds every file that our packages need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.house.tree import PACKAGES, ROOT, list_files, name_of


def test_a_wheel_holds_every_file_of_our_packages(tmp_path: Path) -> None:
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    wanted = {name_of(path) for path in list_files(*(f"{package}/*" for package in PACKAGES))}
    for name in [*wanted, "pyproject.toml", "LICENSE"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    (source / "README.md").write_text("# Moorage\n")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", wheels, source], check=True, capture_output=True, timeout=100)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()
