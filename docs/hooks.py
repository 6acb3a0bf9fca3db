"""What mkdocs cannot say in its settings: the order of the course, and the table of all families."""

from pathlib import Path

import pandas as pd

COLUMNS = {
    "seed": "seeds",
    "parameters": "parameters",
    "updates": "updates",
    "seconds": "seconds",
    "D_stsp": "D_stsp",
    "D_H": "D_H",
    "exponent": "largest exponent",
    "newton": "Newton iterations",
    "sweeps": "shooting sweeps",
}


def on_config(config):
    """Put every numbered notebook into the section "Course"."""
    notebooks = sorted(Path(config.docs_dir, "notebooks").glob("[0-9]*.ipynb"))
    course = next(section["Course"] for section in config.nav if "Course" in section)
    course[:] = [f"notebooks/{path.name}" for path in notebooks]
    return config


def on_page_markdown(markdown, page, config, files):
    """Fill in the table of families."""
    if page.file.src_uri != "families.md":
        return markdown
    table = pd.read_csv(Path(config.docs_dir, "results/models/models.csv"))
    return markdown.replace("<!-- the table -->", tabulate(table))


def tabulate(table):
    """Medians over the seeds of every setting that was run, in Markdown, the nearest first."""
    table = table.assign(width=table.width.where(table.width > 0))
    head, lines = ["| model | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"], []
    for (model, rate, width), rows in table.groupby(["model", "learning_rate", "width"], sort=False, dropna=False):
        name = model if pd.isna(width) else f"{model}, rate {rate:g}, width {width:g}"
        found = rows[list(COLUMNS)].median()
        found["seed"] = len(rows)
        cells = ["" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for value in found]
        line = f"| {'a second exact run' if model == 'truth' else name} | {' | '.join(cells)} |"
        lines.append((found["D_stsp"], line))
    return "\n".join(head + [line for _, line in sorted(lines)])
