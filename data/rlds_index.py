"""Where the episodes of an RLDS folder lie, and their numbers: one pass over all records, whose result is stored."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .errors import DatasetError
from .rlds_features import STEPS, Feature
from .tfrecord import parse_example, records

VERSION = 2  # of the stored index


@dataclass(frozen=True)
class RLDSIndex:
    """What was read of all episodes: `places` (episodes, 2) number of the file and offset, `starts` (episodes + 1,) first step,
    `action` and `state` float32 (steps, width; a state may have none), `texts` and which of them each step has (steps,)."""

    places: np.ndarray
    starts: np.ndarray
    action: np.ndarray
    state: np.ndarray
    texts: np.ndarray
    text_of: np.ndarray


@dataclass(frozen=True)
class StepKeys:
    """The features of a step that the index holds."""

    action: tuple[str, ...]
    state: tuple[str, ...]
    instruction: str


def read_index(files: Sequence[Path], name: str, keys: StepKeys, features: dict[str, Feature]) -> RLDSIndex:
    """From the cache (`ROBOVLMS_CACHE`, or ~/.cache/robovlms), or by one pass over all records.

    Raises:
        DatasetError: naming file and offset of a record that is damaged, cut off, or no sound episode.
    """
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    asked = [VERSION, stamps, keys.action, keys.state, keys.instruction]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]
    root = Path(os.environ.get("ROBOVLMS_CACHE", Path.home() / ".cache" / "robovlms"))
    file = root / "rlds" / f"{key}.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as stored:
            return RLDSIndex(**{field: stored[field] for field in RLDSIndex.__dataclass_fields__})
    index = index_records(files, name, keys, features)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{key}.{os.getpid()}.npz")
    arrays: dict[str, np.ndarray] = {field: getattr(index, field) for field in RLDSIndex.__dataclass_fields__}
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(file)
    return index


def shortfalls(files: Sequence[Path], described: dict, split: str, index: RLDSIndex | None = None) -> list[str]:
    """Return what dataset_info.json promises of a split and the files lack: whole files, records of a file."""
    (total,) = {int(match[2]) for match in map(_numbers, files) if match} or {len(files)}
    there = {int(match[1]): number for number, match in enumerate(map(_numbers, files)) if match}
    found = []
    if absent := sorted(set(range(total)) - set(there)) if there else []:
        shown = ", ".join(map(str, absent[:10])) + (" ..." if len(absent) > 10 else "")
        found.append(f"{len(absent)} of {total} files of split {split!r} are missing (numbers {shown})")
    lengths = next((one.get("shardLengths", []) for one in described.get("splits", []) if one["name"] == split), [])
    if index is not None and len(lengths) == total and there:
        counts = np.bincount(index.places[:, 0], minlength=len(files))
        for shard, number in there.items():
            if int(lengths[shard]) != counts[number]:
                said = f"dataset_info.json says {lengths[shard]} episodes, it has {counts[number]}"
                found.append(f"{files[number].name}: {said}")
    return found


def _numbers(file: Path) -> re.Match | None:
    return re.search(r"-(\d+)-of-(\d+)$", file.name)


def index_records(
    files: Sequence[Path],
    name: str,
    keys: StepKeys,
    features: dict[str, Feature],
    damaged: list[str] | None = None,
) -> RLDSIndex:
    """One pass over all records. Where `damaged` is a list, what is wrong goes there, and the rest of that file is left
    out; otherwise it raises like `read_index`."""
    wanted = {STEPS + key for key in (*keys.action, *keys.state, keys.instruction)}
    places, lengths, actions, states, text_of = [], [], [], [], []
    texts: dict[str, int] = {}
    size = sum(file.stat().st_size for file in files)
    with tqdm(desc=f"indexing {name}", total=size, unit="B", unit_scale=True, delay=2) as bar:
        for number, file in enumerate(files):
            try:
                for offset, content in records(file, name):
                    action, state, words = _numbers_of(content, wanted, keys, features, (offset, name, file))
                    places.append((number, offset))
                    lengths.append(len(action))
                    actions.append(action)
                    states.append(state)
                    text_of += [texts.setdefault(text, len(texts)) for text in words]
                    bar.update(len(content) + 16)
            except DatasetError as error:
                if damaged is None:
                    raise
                damaged.append(f"{error}; the rest of this file was not looked at")
    if not sum(lengths):
        raise DatasetError("no steps", name)
    return RLDSIndex(
        places=np.array(places),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        action=np.concatenate(actions),
        state=np.concatenate(states),
        texts=np.array(list(texts)),
        text_of=np.array(text_of, np.int32),
    )


def _numbers_of(
    content: bytes, wanted: set[str], keys: StepKeys, features: dict[str, Feature], where: tuple[int, str, Path]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Actions and states (steps, width) and instructions (steps,) of a record."""
    offset, name, file = where
    try:
        example = parse_example(content, wanted)
        action = _joined(example, keys.action, features)
        state = _joined(example, keys.state, features) if keys.state else np.zeros((len(action), 0), "f4")
        words = [bytes(text).decode() for text in example[STEPS + keys.instruction]]
        if not len(action) == len(state) == len(words):
            raise ValueError(f"{len(action)} actions, {len(state)} states, {len(words)} instructions")
        if not (np.isfinite(action).all() and np.isfinite(state).all()):
            raise ValueError("non-finite values")
    except KeyError as error:
        raise _problem(offset, f"it lacks the feature {error}", name, file) from error
    except ValueError as error:
        raise _problem(offset, error, name, file) from error
    return action, state, words


def _problem(offset: int, problem: object, name: str, file: Path) -> DatasetError:
    return DatasetError(f"the record at offset {offset}: {problem}", name, file=file.name)


def _joined(example: dict, keys: Sequence[str], features: dict[str, Feature]) -> np.ndarray:
    parts = [np.asarray(example[STEPS + key], np.float32).reshape(-1, features[key].width) for key in keys]
    if len({len(part) for part in parts}) > 1:
        counts = {key: len(part) for key, part in zip(keys, parts, strict=True)}
        raise ValueError(f"features of different lengths, {counts}")
    return np.concatenate(parts, axis=1)
