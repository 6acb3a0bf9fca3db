"""Models named on the command line: what `--model` and its sizes build, and what is refused."""

from argparse import ArgumentParser

import pytest

from gtfdeer import models
from gtfdeer.commands.networks import add_model, build

from .small import DT


def built(*words, columns=3):
    parser = ArgumentParser()
    add_model(parser)
    parser.set_defaults(seed=0)
    return build(parser.parse_args(list(words)), columns)


@pytest.mark.parametrize(
    ("words", "readout"),
    [
        ([], models.IdentityObservation),
        (["--observation", "affine"], models.AffineObservation),
        (["--model", "GRU"], models.ScaledObservation),
        (["--model", "GRU", "--observation", "identity"], models.IdentityObservation),
        (["--model", "ClippedShallowPLRNN", "--observation", "scaled"], models.ScaledObservation),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_readout_is_the_one_that_was_named_or_the_models_own(words, readout):
    assert type(built(*words).observation) is readout


def test_an_affine_readout_serves_fewer_units_than_columns():
    model = built("--latent-dim", "2", "--observation", "affine")
    assert (model.latent_dim, model.observed_dim) == (2, 3)


def test_fewer_units_than_columns_are_refused_with_the_options_that_help(files, refused, tmp_path):
    words = ["fit", files / "three.csv", "--dt", DT, "--out", tmp_path / "m.npz", "--latent-dim", "2"]
    for readout in ([], ["--observation", "scaled"]):
        assert "pass --latent-dim 3 or more, or --observation affine" in refused(*words, *readout)


def test_a_readout_for_a_model_that_has_its_own_is_refused():
    with pytest.raises(ValueError, match="--observation is affine, but Mamba has a readout of its own; leave it out"):
        built("--model", "Mamba", "--observation", "affine")
