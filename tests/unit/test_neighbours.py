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


def test_the_command_says_that_the_released_pygase_was_installed_over_it(tmp_path):
    package = tmp_path / "pygase"
    package.mkdir()
    for path in PACKAGE.iterdir():
        if path.name not in ("__init__.py", "__pycache__"):
            (package / path.name).symlink_to(path)
    names = {"client": "Client", "utils": "get_available_ip_addresses"}  # and no `__version__`
    lines = [f"from pygase.{module} import {name}\n" for module, name in names.items()]
    (package / "__init__.py").write_text("".join(lines))
    done = subprocess.run(
        [sys.executable, "-m", "pygase", "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "pygase: PyGaSe was installed over pygase-rs, and is what import pygase gives: "
        "uninstall both (pip uninstall -y pygase pygase-rs), then install one\n"
    )
