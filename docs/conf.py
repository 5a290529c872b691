"""How Sphinx builds the documentation."""

from udprelay import __version__

project = "udprelay"
author = "The udprelay authors"
copyright = "The udprelay authors"  # noqa: A001
version = release = __version__

exclude_patterns = ["_build"]
nitpicky = True
highlight_language = "none"
smartquotes = False
language = "en_GB"

html_theme = "furo"
html_title = f"udprelay {release}"
html_show_sourcelink = False
html_copy_source = False
