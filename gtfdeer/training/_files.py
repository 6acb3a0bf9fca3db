"""One file format: a reconstruction, and in a checkpoint the whole training run beside it, as one `.npz`.

    header                 JSON: format, version, model class and its constructor's keywords, dt, name, ending ..
    parameters/<path>      the model's parameters, of the best model so far;   gain, noise
    history/<name>         one array a recorded quantity
    scaling/mean, std      of the data, where there is one; inputs/mean, std  of the external inputs
    first                  the first training sample

    state/<k>              checkpoints only: the leaves of `TrainState`
    data/<i>/values, u     checkpoints only: every recording;   key  of the run

The CRC-32 of the Zip format detects damage, not tampering. No pickle: classes are looked up in the package's own lists,
and no array or model is built before its size is compared with the bytes that are there.
"""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from dataclasses import astuple
from importlib import metadata
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import file_path, package, whole
from .._checks import key as check_key
from ..data import Embedding, Scaling, Series
from ._archive import LARGEST, pack, remove_drafts, require_writable, unpack, write_whole
from ._config import TrainConfig
from ._json import build_model, describe_model, from_json, name_parameters, to_json
from ._loop import TrainRun
from ._prepare import check_inputs
from ._step import init_state

if TYPE_CHECKING:
    from ._reconstruction import Reconstruction

_FORMAT, _FORMAT_VERSION, _VERSION = "gtfdeer", 2, metadata.version("gtfdeer")
_PLAIN = {"dt": float, "name": str, "ending": str, "update": int, "dtype": str, "coarsened": int}
_KEYS = ("threefry2x32", "rbg", "unsafe_rbg")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, SyntaxError, TokenError, MemoryError)
_MISFITS = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


# --- save ---


def save(path: str | Path, rec: Reconstruction, run: TrainRun | None = None) -> None:
    """Write a reconstruction, or, with its run, a checkpoint, the one before it kept as `NAME.previous.npz`."""
    header = {"format": _FORMAT, "format_version": _FORMAT_VERSION, "gtfdeer": _VERSION, **describe_model(rec.model)}
    header |= {name: getattr(rec, name) for name in (*_PLAIN, "column_names")}
    header["embedding"] = None if rec.embedding is None else list(astuple(rec.embedding))
    arrays = {f"parameters/{k}": v for k, v in name_parameters(rec.model).items()}
    arrays |= {f"history/{k}": np.asarray(v) for k, v in rec.history.items()} | {"first": np.asarray(rec.first)}
    for name, scaling in {"scaling": rec.scaling, "inputs": rec.input_scaling}.items():
        arrays |= {} if scaling is None else {f"{name}/mean": scaling.mean, f"{name}/std": scaling.std}
    arrays |= {name: value for name in ("gain", "noise") if (value := getattr(rec, name)) is not None}
    if run is not None:
        series = [{"name": s.name, "dt": s.dt, "column_names": list(s.column_names)} for s in run.recordings]
        header["run"] = {"config": to_json(run.config), "every": run.every, "series": series}
        header["run"]["key"] = str(jax.random.key_impl(run.key))
        arrays |= {f"state/{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(run.state))}
        arrays |= {f"data/{i}/values": s.values for i, s in enumerate(run.recordings)}
        arrays |= {f"data/{i}/u": u for i, u in enumerate(run.inputs or ())}
        arrays["key"] = np.asarray(jax.random.key_data(run.key))
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    path = file_path(path, "model.npz")
    write_whole(path, pack(arrays, compress=run is None), None if run is None else _previous(path))


# --- checkpoints ---


def checkpoint_path(path: object) -> Path:
    """Return the path that the checkpoints of a run are written to, given it or that of the previous one."""
    path = file_path(path, "run.npz")
    if path.suffix != ".npz" or path.name == ".previous.npz":
        raise ValueError(f"checkpoint is {str(path)!r}; pass a name that ends in .npz, such as 'run.npz'")
    return path.with_name(f"{path.name.removesuffix('.npz').removesuffix('.previous')}.npz")


def check_checkpoint(path: Path, run: TrainRun) -> None:
    """Refuse, before the first update, what a checkpoint cannot hold and a path that cannot be written to."""
    describe_model(run.model)
    to_json(run.config)
    size = sum(s.values.nbytes for s in run.recordings) + sum(u.nbytes for u in run.inputs or ())
    if size > LARGEST // 2:
        raise ValueError(f"the recordings take {size:.3g} bytes; pass fewer than {LARGEST // 2:.3g}, or no checkpoint")
    if path.exists() and not _is_checkpoint(path):
        raise FileExistsError(f"{str(path)!r} exists and is no checkpoint that can be read; pass another path")
    require_writable(path)
    remove_drafts(path)


def save_checkpoint(path: Path, rec: Reconstruction, run: TrainRun) -> None:
    """Write a checkpoint; where that fails, warn and let the run go on.

    Of several processes, the first one writes, and the others wait until the file is there.
    """
    if jax.process_index() == 0:
        try:
            save(path, rec, run)
        except OSError as error:
            done = int(run.state.update)
            warnings.warn(f"no checkpoint after update {done}: {error}; training goes on", RuntimeWarning, stacklevel=2)
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(path.name)


def load_run(path: Path) -> TrainRun:
    """Read a checkpoint. Where a kill fell between two renames and only the previous file is left, read that."""
    previous = _previous(checkpoint_path(path))
    source = previous if not path.exists() and previous.is_file() else path
    try:
        return _parse_run(*_read(source, "gtfdeer.fit(.., checkpoint=path)"))
    except _MISFITS as error:
        whole_one = source != previous and _is_checkpoint(previous)
        advice = f"the one before it is whole: pass {str(previous)!r}" if whole_one else "pass another checkpoint"
        raise ValueError(f"{str(source)!r} cannot be resumed: {error}; {advice}") from error


def _parse_run(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> TrainRun:
    if "run" not in header:
        raise ValueError("it is a model without its run, which gtfdeer.load reads")
    fields, plain = _parse_reconstruction(header, arrays), header["run"]
    config = from_json(plain["config"])
    if not isinstance(config, TrainConfig) or plain["key"] not in _KEYS:
        raise ValueError("its settings are none of gtfdeer's")
    model = fields["model"]
    common: Any = {name: fields[name] for name in ("scaling", "embedding", "coarsened")} | {"wide": True}
    recordings = [
        Series(arrays[f"data/{i}/values"], s["dt"], s["name"], column_names=s["column_names"], **common)
        for i, s in enumerate(plain["series"])
    ]
    if not recordings or {s.columns for s in recordings} != {model.observed_dim}:
        raise ValueError("its recordings do not fit its model")
    inputs = [arrays[f"data/{i}/u"] for i in range(len(recordings))] if "data/0/u" in arrays else None
    inputs = check_inputs(model, inputs, [s.length for s in recordings])
    key = check_key(jax.random.wrap_key_data(jnp.asarray(arrays["key"]), impl=plain["key"]))
    leaves, structure = jax.tree.flatten(init_state(config, model))
    found = [arrays[f"state/{k}"] for k in range(len(leaves))]
    for leaf, array in zip(leaves, found, strict=True):
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise ValueError(f"a state is {array.dtype}{list(array.shape)} for {leaf.dtype}{list(leaf.shape)}")
    state = jax.tree.unflatten(structure, [jnp.asarray(array) for array in found])
    if {column.shape for column in fields["history"].values()} != {(int(state.update),)}:
        raise ValueError("the history is not as long as the run")
    kept = {name: fields[name] for name in ("history", "ending", "input_scaling")}
    return TrainRun(model, recordings, inputs, config, key, state, every=whole(plain["every"], "every"), **kept)


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous.npz")


def _is_checkpoint(path: Path) -> bool:
    """Return whether a whole checkpoint stands there."""
    try:
        return "run" in _read(path, "")[0]
    except (FileNotFoundError, ValueError):
        return False


# --- load ---


def load(path: str | Path) -> dict[str, Any]:
    """Return the fields of a `Reconstruction`, of a checkpoint those of the best model so far."""
    path = file_path(path, "model.npz")
    content = _read(path, "Reconstruction.save")
    try:
        return _parse_reconstruction(*content)
    except _MISFITS as error:
        raise ValueError(f"{str(path)!r} is damaged or incomplete ({error}); use an older copy of it") from error


def _parse_reconstruction(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    def under(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    model = build_model(header, under("parameters/"))
    M, N, embedding = model.latent_dim, model.observed_dim, header["embedding"]
    plain: dict[str, Any] = {name: kind(header[name]) for name, kind in _PLAIN.items()}
    if plain["dtype"] not in ("float32", "float64") or not 0 < plain["dt"] < np.inf or plain["coarsened"] < 1:
        raise ValueError("the data's dtype is {dtype!r}, dt is {dt}, coarsened {coarsened}".format(**plain))
    found = {"first": arrays["first"], "gain": arrays.get("gain"), "noise": arrays.get("noise")}
    for name, shape in {"first": (N,), "gain": (M, N), "noise": (N,)}.items():
        array = found[name]
        if array is not None and (array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all()):
            raise ValueError(f"{name} is no finite array of shape {shape}")
    for name, prefix, columns in (("scaling", "scaling", N), ("input_scaling", "inputs", model.input_dim)):
        parts = under(f"{prefix}/")
        found[name] = Scaling(parts["mean"], parts["std"], header["dtype"]) if parts else None
        if parts and found[name].columns != columns:
            raise ValueError(f"{name} has {found[name].columns} columns for {columns}")
    return {
        **plain,
        **found,
        "model": model,
        "column_names": tuple(map(str, header["column_names"])),
        "embedding": None if embedding is None else Embedding(*embedding),
        "history": under("history/"),
    }


def _read(path: Path, writer: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; pass one written by {writer}")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST / 2**30:.0f} GiB")
        arrays = unpack(path.read_bytes())
        header = json.loads(arrays["header"].tobytes())
        known, version = header["format"] == _FORMAT, int(header["format_version"])
    except (*_DAMAGE, *_MISFITS) as error:
        found = f"is not a model file of gtfdeer, or damaged ({'no header' if isinstance(error, KeyError) else error})"
        raise ValueError(f"{str(path)!r} {found}; pass one written by {writer}") from error
    if not known:
        raise ValueError(f"{str(path)!r} is a {header['format']!r} file; pass one written by {writer}")
    if version > _FORMAT_VERSION:
        newer = f"was written by gtfdeer {header.get('gtfdeer')}, newer than this {_VERSION}"
        raise ValueError(f"{str(path)!r} {newer}; type: pip install --upgrade {package()}")
    return header, arrays
