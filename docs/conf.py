"""How the documentation site is built: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import written_pictures
from example_scripts import copied

from wassergan.utils.version import __version__

project = "wassergan"
author = "The wassergan authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "api_pages",
    "plain_docstrings",
    "outside_links",
]
exclude_patterns = ["_ext", "_examples", "gallery/*.ipynb", "gallery/*.py", "gallery/*.zip", "gallery/*.json"]
default_role = "literal"
suppress_warnings = ["myst.header", "config.cache"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 6

autodoc_class_signature = "mixed"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Notebooks are kept without output; their pages show what they print as of this build.
nb_execution_mode = "force"
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_ipywidgets_js = {}

sphinx_gallery_conf = {
    "examples_dirs": copied(Path(__file__).parents[1] / "examples", Path(__file__).parent / "_examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "example_extensions": {".py"},
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "image_scrapers": (written_pictures.scraper,),
    "reset_modules": ("matplotlib", written_pictures.reset),
    "capture_repr": (),
    "plot_gallery": True,
    "promote_jupyter_magic": False,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "furo"
html_title = f"wassergan {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
