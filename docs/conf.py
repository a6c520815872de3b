"""How the documentation is built: `make docs`, with every warning an error."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

import xmppfed
from xmppfed import config

project = "xmppfed"
author = "xmppfed contributors"
copyright = "2026, xmppfed contributors"
release = version = xmppfed.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"xmppfed {version}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
nitpicky = False

REFERENCE = Path(__file__).parent / "reference" / "configuration.md"


def write_reference(app: Sphinx) -> None:
    """Write the page of all configuration keys from the types that read them, so that it cannot lag behind."""
    page = config.reference()
    if not REFERENCE.exists() or REFERENCE.read_text() != page:
        REFERENCE.write_text(page)


def setup(app: Sphinx) -> None:
    """Called by Sphinx; `config-inited` comes before the files are listed."""
    app.connect("config-inited", lambda app, _: write_reference(app))
