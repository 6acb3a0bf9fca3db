"""What the library says to pass is told as what to type."""

import pytest

from gtfdeer.commands.wording import in_options

FIT = {"dt", "window", "batch", "allow_missing", "columns", "field", "delay", "delay_embed", "solver", "learning_rate"}


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("learning_rate is -1.0; pass a positive one", "--learning-rate is -1.0; pass a positive one"),
        ("so long but window=9; pass window=6 or less", "so long but --window is 9; pass --window 6 or less"),
        ("a gap; pass window=6 or less, or allow_missing=True", "a gap; pass --window 6 or less, or --allow-missing"),
        ("dt=2.0 was passed but it is 1; leave dt out", "--dt 2.0 was passed but it is 1; leave --dt out"),
        ("no step; pass dt= and columns= for the rest", "no step; pass --dt and --columns for the rest"),
        ("two arrays; pass field= one of 'a', 'b'", "two arrays; pass --field one of 'a', 'b'"),
        (
            "a smaller; pass a smaller dimension or delay, or x",
            "a smaller; pass a smaller --delay-embed or --delay, or x",
        ),
        (
            "full; pass solver=gtfdeer.solvers.Shooting(), a shorter window",
            "full; pass --solver Shooting, a shorter --window",
        ),
        ("a checkpoint; pass it to gtfdeer.resume", "a checkpoint; pass it to gtfdeer fit --resume"),
        # facts, and what is called likewise
        ("series has dt=0.2 but the model was trained at dt=0.1; resample it", None),
        ("recordings differ: Series('a', 3 x 2, dt=1); pass others", None),
        ("no file 'a'; did you mean '/data/dt=1/window=3.csv'?", None),
        ("model is 3; pass relu_units=2, device_count=3", None),
        ("its windows overlap; pass a shorter windowing", None),
    ],
)
def test_settings_are_told_as_options_and_facts_are_not(sentence, told):
    assert in_options(sentence, FIT) == (sentence if told is None else told)


def test_options_that_the_command_has_not_are_not_told():
    sentence = "so long but window=9; pass window=6, or allow_missing=True"
    assert in_options(sentence, {"allow_missing"}) == "so long but window=9; pass window=6, or --allow-missing"
    assert in_options(sentence, set()) == sentence
