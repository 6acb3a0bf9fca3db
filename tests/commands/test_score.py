"""`gtfdeer score`: a table, JSON, and refusals."""

import io
import json

import numpy as np
import pytest

from gtfdeer.__main__ import main

from .small import DT


def test_the_table_has_the_floor_beside_the_score(trained, files, capsys):
    assert main(["score", str(trained), str(files / "test.csv"), "--floor", str(files / "train.csv")]) == 0
    told = capsys.readouterr().out
    assert "300 steps x 2 columns, dt 0.02" in told  # dt comes from the model
    assert "D_stsp" in told
    assert "another recording" in told


def test_json_parses_and_keeps_the_steps(trained, files, capsys):
    assert main(["score", str(trained), str(files / "test.csv"), "--json", "--steps", "5", "--dt", str(DT)]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["steps"] == 5
    assert scores["model"] == str(trained)
    assert {"D_stsp", "D_H", "PE", "lambda_max", "floor_D_stsp", "gtfdeer", "dt"} <= set(scores)


def test_the_wrong_number_of_columns_is_refused(trained, files, refused):
    sentence = refused("score", trained, files / "three.csv")
    assert "3 columns" in sentence
    assert "2" in sentence


def test_another_sampling_step_is_refused(trained, files, refused):
    sentence = refused("score", trained, files / "test.csv", "--dt", 0.5)
    assert "0.5" in sentence
    assert "0.02" in sentence


def test_prediction_steps_must_be_positive(trained, files, refused):
    assert "--steps" in refused("score", trained, files / "test.csv", "--steps", 0)


def test_a_file_that_is_no_model_is_refused(files, refused, tmp_path):
    pretender = tmp_path / "pretender.npz"
    np.savez(pretender, values=np.zeros(3))
    assert "not a model file" in refused("score", pretender, files / "test.csv")
    assert "not a model file" in refused("score", files / "test.csv", files / "test.csv")


def test_a_model_from_a_newer_version_is_refused(trained, files, refused, tmp_path):
    with np.load(trained) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    header["format_version"] += 1
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    newer = tmp_path / "newer.npz"
    np.savez(newer, **arrays)
    sentence = refused("score", newer, files / "test.csv")
    assert "newer" in sentence
    assert "upgrade" in sentence


@pytest.mark.parametrize("damage", ["cut short", "one byte"])
def test_a_damaged_model_is_refused(damage, trained, files, refused, tmp_path):
    content = bytearray(trained.read_bytes())
    if damage == "cut short":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 3] ^= 0xFF
    broken = tmp_path / "broken.npz"
    broken.write_bytes(io.BytesIO(content).getvalue())
    refused("score", broken, files / "test.csv")


def test_a_clock_that_steps_otherwise_than_the_model_is_told_so(trained, refused, tmp_path):
    path = tmp_path / "clock.csv"
    path.write_text("t,x,y\n" + "".join(f"{0.5 * k},{k % 7},{k % 5}\n" for k in range(300)))
    sentence = refused("score", trained, path)
    assert "steps by 0.5 but the model was trained at dt=0.02" in sentence
    assert "was passed" not in sentence
