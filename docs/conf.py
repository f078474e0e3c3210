"""Configuration of the documentation: `make docs` builds it, and warnings are errors."""

import re
from importlib import metadata
from inspect import cleandoc
from textwrap import indent

from hepae.cli import main

project = "hepae"
author = copyright = "The hepae developers"
release = version = metadata.version("hepae")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Docstrings follow numpydoc; one backtick there means code.
default_role = "code"
napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}

html_theme = "furo"
html_title = f"hepae {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
copybutton_exclude = ".linenos, .gp, .go"


def as_restructured_text(text: str) -> str:
    """Help is plain text: escape what would be markup, and show blocks that click does not wrap as they are."""
    paragraphs = []
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            paragraphs.append("::\n\n" + indent(paragraph[2:], "    "))
        else:
            paragraphs.append(re.sub(r"([*|`_])", r"\\\1", paragraph))
    return "\n\n".join(paragraphs)


for command in (main, *main.commands.values()):
    for holder in (command, *command.params):
        if getattr(holder, "help", None):
            holder.help = as_restructured_text(holder.help)
