"""How the documentation is built: `sphinx-build -W docs FOLDER`."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "needlepoint"
author = "The needlepoint authors"
version = release = metadata.version("needlepoint")
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "plain_docstrings",
    "fields",
    "names",
    "tables",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "literal"
add_module_names = False
autodoc_typehints = "description"  # beside each parameter: shapes are part of the types
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_predict_request, set_score_request, "
    "set_transform_request, set_inverse_transform_request",
}
napoleon_custom_sections = ["Source", "Sources"]

html_theme = "furo"
html_title = "needlepoint"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f6aa5", "color-brand-content": "#1f6aa5"},
    "dark_css_variables": {"color-brand-primary": "#6cb2eb", "color-brand-content": "#6cb2eb"},
}
