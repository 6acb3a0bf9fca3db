"""`gtfdeer info`: facts for a bug report."""

import json

import jax

import gtfdeer as gd
from gtfdeer.__main__ import main
from gtfdeer.commands.info import memory

MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n"


def test_json_names_versions_and_devices(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["jax"] == jax.__version__
    assert facts["devices"][0]["kind"] == jax.devices()[0].device_kind
    assert facts["backend"] == jax.default_backend()
    assert facts["float64"] is False
    needed = gd.solvers.memory_needed(gd.solvers.DEER(), length=100_000, latent_dim=30)
    assert f"{needed / 2**20:.0f} MiB at M 30" in facts["needs"]["DEER"]


def test_the_table_has_one_fact_a_line(capsys):
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for name in (
        "python",
        "jaxlib",
        "platform",
        "device 0",
        "cpu cores",
        "memory total",
        "needs DEER",
        "matmul precision",
    ):
        assert f"\n{name} " in f"\n{told}"


def test_memory_is_the_machine_s_where_nothing_limits_it(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert memory(tmp_path, tmp_path) == {"total": "16.0 GiB", "available": "8.0 GiB"}


def test_a_container_s_limit_counts(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text(f"{4 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    assert memory(tmp_path, tmp_path) == {
        "total": "4.0 GiB",
        "available": "3.0 GiB",
        "limited by": "control group",
    }


def test_the_older_kind_of_control_group_counts_too(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{2**30}\n")
    assert memory(tmp_path, tmp_path)["total"] == "1.0 GiB"


def test_no_limit_is_not_a_limit(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(tmp_path, tmp_path)["total"] == "16.0 GiB"


def test_without_proc_memory_is_unknown(tmp_path):
    assert memory(tmp_path / "none", tmp_path / "none") == {"total": "unknown", "available": "unknown"}
