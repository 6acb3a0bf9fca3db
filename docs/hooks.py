"""What mkdocs cannot say in its file of settings: the course is every notebook that there is, in order."""

from pathlib import Path


def on_config(config):
    """Put every numbered notebook into the section "Course"."""
    notebooks = sorted(Path(config.docs_dir, "notebooks").glob("[0-9]*.ipynb"))
    course = next(section["Course"] for section in config.nav if "Course" in section)
    course[:] = [f"notebooks/{path.name}" for path in notebooks]
    return config
