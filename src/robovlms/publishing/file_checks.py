"""Is everything there, whole and safe to load?"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from safetensors import SafetensorError, safe_open

from robovlms.checkpoint.record import LIBRARIES, CheckpointRecord, sha256
from robovlms.configuration.package_version import library_versions

from .findings import Finding
from .private_details import find_private_details_of
from .published_files import INDEX, find_pickled_weights, published_files

NEEDED = ("config.json", "processor_config.json")
# A newer one of these may compute something else.
DECISIVE = ("robovlms", "transformers")


def check_files(folder: Path) -> Iterator[Finding]:
    """Yield what is missing, pickled or private."""
    for name in NEEDED:
        if not (folder / name).exists():
            yield Finding("files", "problem", f"{name} is missing: save model and processor into this folder.")
    if pickles := find_pickled_weights(folder):
        yield Finding(
            "files", "problem", f"{pickles} are pickles: loading them could run code. Publish safetensors only."
        )
    for file in published_files(folder):
        for detail in find_private_details_of(file.name, str(file)):
            yield Finding("private", "problem", f"{file.relative_to(folder)} gives away {detail}.")


def check_weights(folder: Path, record: CheckpointRecord | None) -> Iterator[Finding]:
    """Every shard is there, can be read, holds finite numbers and is the one that was saved."""
    shards = {file.name for file in folder.glob("*.safetensors")}
    expected = list_expected_shards(folder) | (set(record.weights) if record else set())
    if missing := sorted(expected - shards):
        yield Finding("weights", "problem", f"weight file(s) {missing} are missing.")
    if not shards and not expected:
        yield Finding("weights", "problem", "there are no weights (*.safetensors).")
    damaged = False
    for name in sorted(shards):
        if fault := find_damage(folder / name, record.weights.get(name) if record else None):
            damaged = True
            yield Finding("weights", "problem", f"{name} is corrupted: {fault}")
    if shards and not damaged and not missing:
        yield Finding("weights", "ok", f"{len(shards)} weight file(s) are whole")


def list_expected_shards(folder: Path) -> set[str]:
    """Return the files that an index names; one that a single weight file has made obsolete does not count."""
    index = folder / INDEX
    if not index.exists() or (folder / "model.safetensors").exists():
        return set()
    return set(json.loads(index.read_text())["weight_map"].values())


def find_damage(file: Path, expected_hash: str | None) -> str | None:
    """Return what is wrong with a weight file; None if nothing is."""
    try:
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dict)
                tensor = weights.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
                    return f"{name} holds numbers that are not finite."
    except (SafetensorError, OSError, ValueError, RuntimeError, struct.error) as error:
        return f"it cannot be read ({error})."
    if expected_hash is not None and sha256(file) != expected_hash:
        return "its content is not what was saved (SHA-256 differs)."
    return None


def check_versions(folder: Path, record: CheckpointRecord | None) -> Iterator[Finding]:
    """Was it saved with newer libraries than these?"""
    here = library_versions(LIBRARIES)
    saved = read_saved_versions(folder, record)
    newer = [name for name in DECISIVE if name in saved and is_newer(saved[name], here[name])]
    for name in newer:
        yield Finding(
            "versions",
            "problem",
            f"it was saved with {name} {saved[name]}, here is {here[name]}, which is older: "
            f"pip install '{name}>={saved[name]}'",
        )
    others = [f"{name} {saved[name]} -> {here[name]}" for name in saved if name in here and saved[name] != here[name]]
    if not newer:
        text = f"other than when it was saved: {', '.join(others)}" if others else "as when it was saved"
        yield Finding("versions", "note" if others else "ok", text)


def read_saved_versions(folder: Path, record: CheckpointRecord | None) -> dict[str, str]:
    """Return the newest that any file names."""
    found = [dict(record.versions)] if record else []
    for name, keys in (("config.json", ("transformers_version",)), ("processor_config.json", ("robovlms", "version"))):
        value: Any = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        for key in keys:
            value = value.get(key) or {}
        if value:
            found.append({"transformers" if name == "config.json" else "robovlms": value})
    versions: dict[str, str] = {}
    for entry in found:
        for name, value in entry.items():
            if name not in versions or is_newer(value, versions[name]):
                versions[name] = value
    return versions


def is_newer(one: str, other: str) -> bool:
    """Return whether the release (major, minor) of `one` is newer."""
    return Version(one).release[:2] > Version(other).release[:2]
