"""What is in an RLDS folder and what is wrong with it."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .errors import DatasetError
from .inspection_conventions import measure_conventions
from .inspection_findings import Inspection, add_vector, instruction_problems
from .inspection_motion import motion_problems
from .recorded import Recorded
from .rlds import RLDSDataset
from .rlds_index import RLDSIndex, index_records


class InspectedRLDS(RLDSDataset):
    """A folder of which some records may be `damaged`, and whose control frequency may be unknown (nan)."""

    def __init__(self, folder: str | Path, damaged: list[str], **options: Any):
        self.damaged = damaged
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shortfalls are among the problems
            super().__init__(folder, window_size=1, chunk_size=1, **options)

    def _choose_fps(self, fps: float | None) -> float:
        return super()._choose_fps(fps) if fps is not None or self._listed is not None else float("nan")

    def _read_index(self) -> RLDSIndex:
        try:
            return super()._read_index()
        except DatasetError:  # what can be read of each file
            return index_records(self.files, self.name, self.keys, self.features, self.damaged)

    def tasks(self, position: int) -> list[str]:
        """The different instructions of an episode."""
        rows = self._rows[self.episode_starts[position] : self.episode_starts[position + 1]]
        return self._index.texts[np.unique(self._index.text_of[rows])].tolist()


def inspect_rlds(
    folder: str | Path,
    chosen: Sequence[int] | None,
    shown: int,
    frames: int,
    decode_all: bool,
    options: Mapping[str, Any],
) -> Inspection:
    """Reads the numbers of all records (of the `chosen` episodes, where these are listed), and `frames` images of each of
    `shown` episodes; `options` are those of RLDSDataset."""
    found = Inspection(str(folder))
    try:
        dataset = InspectedRLDS(folder, found.problems, episodes=chosen, **options)
    except (DatasetError, OSError, ValueError, KeyError, TypeError) as error:
        found.problems.append(f"{type(error).__name__}: {error}")
        return found
    found.problems += dataset.shortfalls
    _summarise(found, dataset)
    _look_at_numbers(found, dataset)
    filled = np.flatnonzero(found.lengths).tolist()
    places = np.linspace(0, len(filled) - 1, min(shown, len(filled))).astype(int)
    for position in [filled[place] for place in places]:
        _take_filmstrips(found, dataset, position, frames)
    if decode_all:
        _decode_all(found, dataset)
    return found


def _summarise(found: Inspection, dataset: InspectedRLDS) -> None:
    found.lengths = np.diff(dataset.episode_starts).tolist()
    found.tasks = Counter(task for position in range(dataset.num_episodes) for task in dataset.tasks(position))
    found.problems += instruction_problems(found.tasks)
    if empty := [episode for episode, n in zip(dataset.episodes, found.lengths, strict=True) if n == 0]:
        found.problems.append(f"{len(empty)} episodes have no steps (first: episode {empty[0]})")
    pictures = [key for key, feature in dataset.features.items() if feature.is_colour]
    unread = [key for key in pictures if key not in dataset.camera_keys.values()]
    if unread:
        found.remarks.append(f"pictures that are not read unless `cameras` names them: {', '.join(unread)}")
    if not dataset.fps > 0:
        found.remarks.append("RLDS files don't say the control frequency: `fps` says it")
    found.summary = {
        "format": "RLDS",
        "dataset": dataset.name,
        "split": dataset.split,
        "files": len(dataset.files),
        "embodiment": dataset.embodiment,
        "fps": dataset.fps if dataset.fps > 0 else "unknown",
        "episodes": dataset.num_episodes,
        "frames": len(dataset),
        "episode length": f"{min(found.lengths)} ... {max(found.lengths)}",
        "instructions": len(found.tasks),
        "cameras": ", ".join(dataset.cameras) or "none",
        "action": ", ".join(dataset.keys.action),
        "state": ", ".join(dataset.keys.state) or "none",
        "instruction": dataset.keys.instruction,
        "features": {key: (one.dtype, *one.shape) for key, one in sorted(dataset.features.items())},
    }


def _look_at_numbers(found: Inspection, dataset: InspectedRLDS) -> None:
    add_vector(found, "action", dataset.action, dataset.action_names, lambda row: _place(row, dataset))
    if dataset.state is not None:
        add_vector(found, "state", dataset.state, dataset.state_names, lambda row: _place(row, dataset))
    recorded = Recorded.of(dataset, dataset.episodes).choose(np.flatnonzero(found.lengths).tolist())
    found.problems += motion_problems(recorded)
    measure_conventions(found, recorded)


def _place(row: int, dataset: InspectedRLDS) -> str:
    position = int(np.searchsorted(dataset.episode_starts, row, side="right") - 1)
    return f"episode {dataset.episodes[position]}, step {row - dataset.episode_starts[position]}"


def _take_filmstrips(found: Inspection, dataset: InspectedRLDS, position: int, frames: int) -> None:
    steps = np.linspace(0, found.lengths[position] - 1, min(frames, found.lengths[position])).astype(int)
    for camera in dataset.cameras:
        try:
            images = dataset.images(camera, position, steps)
        except DatasetError as error:
            found.add_problem(str(error))
            continue
        found.add_filmstrip(dataset.episodes[position], camera, "; ".join(dataset.tasks(position)), images)


def _decode_all(found: Inspection, dataset: InspectedRLDS) -> None:
    for position in tqdm(range(dataset.num_episodes), desc="decoding", unit="episode"):
        for camera in dataset.cameras:
            try:
                for start in range(0, found.lengths[position], 64):
                    dataset.images(camera, position, np.arange(start, min(start + 64, found.lengths[position])))
            except DatasetError as error:
                found.add_problem(str(error))
