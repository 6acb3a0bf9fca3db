"""What mkdocs cannot say in its settings: the order of the course, and pages whose numbers come from studies."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the studies are not in the package

from studies import NAMES
from studies.conduct import read_rows
from studies.models import EXACT, NETWORKS, STUDY, label
from studies.models import best as best_settings
from studies.rows import counted, quartiles, where
from studies.training import LINEAR

RESULTS = Path("notebooks/results")
NOTHING = "–"


def on_config(config):
    """Put every numbered notebook into the section "Course"."""
    notebooks = sorted(Path(config.docs_dir, "notebooks").glob("[0-9]*.ipynb"))
    course = next(section["Course"] for section in config.nav if "Course" in section)
    course[:] = [f"notebooks/{path.name}" for path in notebooks]
    return config


def on_page_markdown(markdown, page, config, files):
    """Fill the pages that show results."""
    made = {"families.md": families, "findings.md": findings}.get(page.file.src_uri)
    return markdown if made is None else made(markdown, Path(config.docs_dir))


def findings(markdown, root):
    """Caption and figure of every study in place of its name."""
    for name in NAMES:
        markdown = markdown.replace(f"<!-- {name} -->", finding(name, root))
    return markdown


def finding(name, root):
    """What a study found, in which setting, when and where; or how to find it."""
    file = root / RESULTS / name / f"{name}.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if "caption" not in record:
        return f"Not finished yet: `python -m studies {name} --full`."
    setting = f"The {record['setting']} setting, {counted_seeds(record['seeds'])}; {origin(record['worked on'][-1])}."
    return f"{record['caption']}\n\n![{record['question']}]({RESULTS}/{name}/{name}.png)\n\n{setting}"


def families(markdown, root):
    """The table and the pictures of the study of all families."""
    folder = root / RESULTS / "models"
    rows = read_rows(STUDY, folder)
    made = json.loads((folder / "models.json").read_text(encoding="utf-8"))["worked on"][-1]
    shown = [(own[0]["model"], pictures) for own in best_settings(rows) if (pictures := drawn(own))]
    pictures = [f"## {model}\n\n![free run]({RESULTS}/models/{names[0]})" for model, names in shown]
    return markdown.replace("<!-- the table -->", table(rows, made)).replace(
        "<!-- the pictures -->", "\n\n".join(pictures)
    )


def drawn(own):
    return [row["picture"] for row in own if row["picture"] is not None]


def table(rows, made):
    """Medians over the seeds, in Markdown."""
    head = "model", "seeds", "parameters", "updates", "seconds", "D_stsp (quartiles)", "D_H", "largest exponent"
    head = *head, "Newton iterations", "shooting sweeps"
    lines = [cells(*head), "|" + len(head) * "---|"]
    for own in [where(rows, model=EXACT), *best_settings(rows)]:
        low, middle, high = (f"{value:.2g}" for value in quartiles(own, "D_stsp"))
        scores = [f"{middle} ({low} to {high})", f"{quartiles(own, 'D_H')[1]:.2g}"]
        seeds = str(len({row["seed"] for row in own}))
        if own[0]["model"] == EXACT:
            lines.append(cells("a second exact run", seeds, *3 * [""], *scores, "0.906", "", ""))
            continue
        counts = f"{own[0]['parameters']:,}", f"{own[0]['updates']:,}", f"{quartiles(own, 'seconds')[1]:.0f}"
        solved = (iterations(own, name) for name in ("newton", "sweeps"))
        exponent = f"{quartiles(own, 'exponent')[1]:.2f}"
        lines.append(cells(label(own), seeds, *counts, *scores, exponent, *solved))
    missing = {*NETWORKS, *LINEAR} - {row["model"] for row in rows}
    lacking = f" Not run yet: {', '.join(sorted(missing))}." if missing else ""
    return "\n".join([*lines, "", f"Medians over at most {counted(rows)}; {origin(made)}.{lacking}"])


def iterations(own, name):
    """Medians over the seeds before, in the middle of and after training, and what share of windows was not solved."""
    found = [at_moment(own, name, moment) for moment in ("_start", "_middle", "")]
    return NOTHING if set(found) == {NOTHING} else " / ".join(found)


def at_moment(own, name, moment):
    """Of one moment, if it was measured."""
    middle, failed = quartiles(own, f"{name}{moment}")[1], quartiles(own, f"{name}_failed{moment}")[1]
    if not failed >= 0:
        return NOTHING
    count = NOTHING if middle != middle else f"{middle:g}"
    return f"{count} ({failed:.0%} failed)" if failed else count


def origin(made):
    """When and on what."""
    return f"{made['date'][:10]}, {made['backend'].upper()}, jax {made['versions']['jax']}"


def counted_seeds(seeds):
    return counted([{"seed": seed} for seed in range(seeds)])


def cells(*values):
    return "| " + " | ".join(values) + " |"
