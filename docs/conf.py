"""How Sphinx builds the documentation: `make docs`."""

import re
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "pygase-rs"
author = project_copyright = "the authors of pygase-rs"
release = version = version_of("pygase-rs")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "code"

html_theme = "furo"
html_title = f"pygase-rs {version}"
html_static_path = ["_static"]
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpicky = True
# The build fetches nothing: types of Python's library and those without a page of their own have no link.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|concurrent|dataclasses|enum|os|threading|types|typing|logging)\..*"),
    (r"py:.*", r"pygase\.\w+\.(\w*T|ConnectionOptions)"),
    (r"py:.*", r"pygase\.(\w+\.)?_\w+(\..*)?"),
]
linkcheck_anchors = False

doctest_global_setup = "import pygase"

#: Pages that are files of the project's root, or a section of one, and where their links lead here.
PAGES = {
    "security": ("SECURITY.md", None),
    "protocol": ("PROTOCOL.md", None),
    "changelog": ("CHANGELOG.md", None),
    "contributing": ("CONTRIBUTING.md", None),
    "conduct": ("CODE_OF_CONDUCT.md", None),
    "settings": ("README.md", "Settings"),
    "sessions": ("README.md", "Who comes and goes"),
    "statistics": ("README.md", "Statistics"),
    "differences": ("README.md", "What differs from PyGaSe, on purpose"),
}
LINKS = {
    "README.md": "settings.md",
    "PROTOCOL.md": "protocol.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
}


def root_page(app, docname, source):
    """Put the file of the root into the page that stands for it."""
    if docname not in PAGES:
        return
    file, section = PAGES[docname]
    app.env.note_dependency(str(ROOT / file))
    text = (ROOT / file).read_text(encoding="utf-8")
    if section is not None:
        text = re.search(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0][1:]
    source[0] = re.sub(r"\]\((\w+\.md)\)", lambda link: f"]({LINKS.get(link[1], link[1])})", text)


def markdown_examples(app, what, name, obj, options, lines):
    """Turn fenced examples in docstrings into what Sphinx knows; pages need no list of what is on them."""
    if what == "module" and "# Contents" in lines:
        del lines[lines.index("# Contents") :]
    fenced = None
    for index, line in enumerate(lines):
        if line.strip().startswith("```"):
            fenced = None if fenced is not None else line.index("`")
            lines[index] = f"{line[:fenced]}.. code-block:: python" if fenced is not None else ""
            if fenced is not None:
                lines[index] += "\n"
        elif fenced is not None and line:
            lines[index] = "    " + line
    lines[:] = "\n".join(lines).split("\n")


def setup(app):
    """Have both called."""
    app.connect("source-read", root_page)
    app.connect("autodoc-process-docstring", markdown_examples, priority=400)  # before napoleon
