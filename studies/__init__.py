"""The findings and benchmarks as plain scripts: `python -m studies NAME` leaves a table, a figure and their provenance.

    chaos                 when does Newton's method over a whole trajectory converge, and what does forcing change?
    speed                 what does an update cost, step by step and in parallel over time?
    linear-vs-nonlinear   can a linear recurrence with a nonlinear readout learn chaos?
    long-sequences        do longer training sequences help, where time scales are slow and where they are not?
    models                what does every family learn of Lorenz-63 in a few minutes?
    peers                 what would an echo state network, or sparse regression, have learned?
    gpu                   all that concerns speed, in one call on an accelerator (`python studies/gpu.py`)
    bench                 every solver and every model against `lax.scan` on this device

A study is a module with `SEEDS`, `plan(full, seed)` (settings of runs), `measure(**settings)` (rows of the table) and
`draw(table)`. `studies.sweep` makes the runs.
"""
