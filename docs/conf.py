"""Configuration of the documentation: `make docs` builds it, and warnings are errors."""

import re
from importlib import metadata

import click

from hepae.cli import main

project = "hepae"
author = "The hepae developers"
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


def escape(command: click.Command) -> None:
    """Escape what reStructuredText would take for markup: help texts are plain text."""
    for holder in (command, *command.params):
        if getattr(holder, "help", None):
            holder.help = re.sub(r"([*|`])", r"\\\1", holder.help)


for each in (main, *main.commands.values()):
    escape(each)
