"""How the documentation is built: ``sphinx-build -W docs OUTPUT``."""

import molq

project = "molq"
copyright = "2026, the molq authors"  # noqa: A001 - Sphinx reads this name
release = version = molq.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
myst_heading_anchors = 3
