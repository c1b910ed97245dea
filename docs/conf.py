"""Sphinx configuration."""

import re
from pathlib import Path

import isacsim

project = "isacsim"
author = "isacsim developers"
copyright = f"2026, {author}"
version = release = isacsim.__version__

extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode",
    "sphinx_copybutton", "sphinx_design",
]  # fmt: skip
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"isacsim {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False, "header_links_before_dropdown": 4}
html_static_path = ["_static"]
html_css_files = ["isacsim.css"]
html_sidebars = {"index": []}  # its cards lead everywhere
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.highlight-text) > div.highlight pre"  # what is shown is not to be copied

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


def told_once(app, what, name, obj, skip, options):
    """Names that `isacsim` has, too, are described on its page."""
    return True if what == "module" and app.env.docname == "api/authors" and name in isacsim.__all__ else None


def internals(app):
    """Write the pages of the internals: one for each room, and one for files of their own."""
    package, pages = Path(isacsim.__file__).parent, Path(app.srcdir) / "api" / "internals"
    rooms: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[-1] not in ("__init__", "__main__", "api", "units"):
            rooms.setdefault(parts[0] if len(parts) > 1 else "files", []).append(".".join(("isacsim", *parts)))
    pages.mkdir(parents=True, exist_ok=True)
    for old in set(pages.glob("*.md")) - {pages / f"{room}.md" for room in rooms}:
        old.unlink()
    for room, modules in rooms.items():
        sections = [f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :no-index:\n```\n" for name in modules]
        text = "\n".join([f"# {room}\n", *sections])
        page = pages / f"{room}.md"
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def setup(app):
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", told_once)
    app.connect("builder-inited", internals)
