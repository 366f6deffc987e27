"""Another distribution in the folder of this one.

# Contents
- `warn_of_mixture`: says that PyGaSe was installed into the same folder
"""

from __future__ import annotations

import os
import warnings

__all__ = ["warn_of_mixture"]


def warn_of_mixture(package: str) -> None:
    """Warn if the distribution `pygase` owns a package too, in which files of both are mixed then.

    It is found by the name of its metadata, as `importlib.metadata` takes longer than the rest of the import.

    Args:
        package: The folder of the package.
    """
    site = os.path.dirname(package)
    try:
        names = os.listdir(site)
    except OSError:  # a package in an archive
        return
    if any(name.startswith("pygase-") and name.endswith((".dist-info", ".egg-info")) for name in names):
        warnings.warn(
            f"both pygase and pygase-rs are installed in {site}: they own the same folder, and uninstalling "
            "one breaks the other. Uninstall both (pip uninstall -y pygase pygase-rs), then install one.",
            RuntimeWarning,
            stacklevel=3,
        )
