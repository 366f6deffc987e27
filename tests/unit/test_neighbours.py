"""Another distribution that owns the package is told of when it is imported."""

import subprocess
import sys
from pathlib import Path

import pygase

PACKAGE = Path(pygase.__file__).parent


def import_beside(folder, *neighbours):
    (folder / "pygase").symlink_to(PACKAGE, target_is_directory=True)
    for name in neighbours:
        (folder / name).mkdir()
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import pygase; pygase.Client()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr


def test_the_released_pygase_in_the_same_folder_is_named(tmp_path):
    said = import_beside(tmp_path, "pygase-0.3.1.dist-info", "pygase_rs-0.1.0.dist-info")
    assert f"RuntimeWarning: both pygase and pygase-rs are installed in {tmp_path}" in said
    assert "pip uninstall -y pygase pygase-rs" in said


def test_alone_it_says_nothing(tmp_path):
    assert import_beside(tmp_path, "pygase_rs-0.1.0.dist-info", "pygase_tools-1.0.dist-info") == ""
