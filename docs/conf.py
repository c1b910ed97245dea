"""Sphinx configuration."""

import re

import isacsim

project = "isacsim"
author = "isacsim developers"
copyright = f"2026, {author}"
version = release = isacsim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"isacsim {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings say shapes and units in words; single backticks there mark code.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpicky = True
# Types in "Args" and "Raises" are words of the docstring, not links.
nitpick_ignore_regex = [("py:(class|exc|obj)", ".*")]

LITERAL = re.compile(r"(``.*?``|`.*?`)")


def escape_bars(app, what, name, obj, options, lines):
    """Magnitudes such as |h_k| in docstrings are text, not substitutions of reStructuredText."""
    block = False
    for i, line in enumerate(lines):
        block = (block and (not line.strip() or line.startswith(" "))) or (i > 0 and lines[i - 1].endswith("::"))
        if not block:
            parts = LITERAL.split(line)
            lines[i] = "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
