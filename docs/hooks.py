"""What mkdocs cannot say in its settings: the order of the course, and a page whose numbers come from a study."""

import json
from pathlib import Path

from gtfdeer.studies.models import EXACT, label
from gtfdeer.studies.models import best as best_settings
from gtfdeer.studies.rows import counted, quartiles, where
from gtfdeer.studies.table import Table

RESULTS = Path("notebooks/results/models")


def on_config(config):
    """Put every numbered notebook into the section "Course"."""
    notebooks = sorted(Path(config.docs_dir, "notebooks").glob("[0-9]*.ipynb"))
    course = next(section["Course"] for section in config.nav if "Course" in section)
    course[:] = [f"notebooks/{path.name}" for path in notebooks]
    return config


def on_page_markdown(markdown, page, config, files):
    """Put the table and the pictures of the study of all families into their page."""
    if page.file.src_uri != "families.md":
        return markdown
    folder = Path(config.docs_dir, RESULTS)
    rows = Table(folder / "models.csv").rows
    made = json.loads((folder / "models.json").read_text(encoding="utf-8"))["worked on"][-1]
    pictures = [f"## {own[0]['model']}\n\n![free run]({RESULTS}/{own[0]['picture']})" for own in best_settings(rows)]
    return markdown.replace("<!-- the table -->", table(rows, made)).replace(
        "<!-- the pictures -->", "\n\n".join(pictures)
    )


def table(rows, made):
    """Medians over the seeds, in Markdown."""
    lines = [
        "| model | parameters | updates | seconds | D_stsp (quartiles) | D_H | largest exponent |",
        "|" + 7 * "---|",
    ]
    for own in [where(rows, model=EXACT), *best_settings(rows)]:
        low, middle, high = (f"{value:.2g}" for value in quartiles(own, "D_stsp"))
        scores = [f"{middle} ({low} to {high})", f"{quartiles(own, 'D_H')[1]:.2g}"]
        if own[0]["model"] == EXACT:
            lines.append(cells("a second exact run", "", "", "", *scores, "0.906"))
            continue
        counts = f"{own[0]['parameters']:,}", f"{own[0]['updates']:,}", f"{quartiles(own, 'seconds')[1]:.0f}"
        lines.append(cells(label(own), *counts, *scores, f"{quartiles(own, 'exponent')[1]:.2f}"))
    when = f"{made['date'][:10]}, {made['backend'].upper()}, jax {made['versions']['jax']}"
    return "\n".join([*lines, "", f"Medians over {counted(rows)}; {when}."])


def cells(*values):
    return "| " + " | ".join(values) + " |"
