"""Settings of the documentation site: `make docs` builds it from the Markdown pages with Sphinx, MyST and Furo."""

project = "Modelyard"
html_title = "Modelyard"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["deploy/**"]
html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
# Headings are linked by the names that the repository's web page gives them too.
myst_heading_anchors = 4
