"""What is in a CALVIN folder and what is wrong with it."""

from collections import Counter
from pathlib import Path

import numpy as np

from .calvin import CalvinDataset
from .errors import DatasetError
from .inspection_conventions import measure_conventions
from .inspection_findings import Inspection, add_vector
from .recorded import Recorded


def inspect_calvin(folder: str | Path, episodes: int, frames: int) -> Inspection:
    """Reads the actions and states of all annotated frames, and `frames` images of each of `episodes` annotations."""
    found = Inspection(str(folder))
    try:
        dataset = CalvinDataset(folder, window_size=1, chunk_size=1)
    except DatasetError as error:
        found.problems.append(str(error))
        return found
    found.lengths = [end - start for start, end, _ in dataset.annotations]
    found.tasks = Counter(text for *_, text in dataset.annotations)
    found.summary = {
        "format": "CALVIN",
        "split": dataset.folder.name,
        "fps": dataset.fps,
        "annotations": dataset.num_episodes,
        "frames": sum(found.lengths),
        "annotation length": f"{min(found.lengths)} ... {max(found.lengths)}",
        "instructions": len(found.tasks),
    }
    try:
        tables = {
            "rel_actions": (dataset.action, dataset.action_names),
            "robot_obs": (dataset.state, dataset.state_names),
        }
    except DatasetError as error:  # the first file that cannot be read
        found.problems.append(str(error))
        return found
    for key, (values, names) in tables.items():
        add_vector(found, key, values, names, lambda row: f"annotated frame {row}")
    measure_conventions(found, Recorded.of(dataset))
    for number in np.linspace(0, dataset.num_episodes - 1, min(episodes, dataset.num_episodes)).astype(int).tolist():
        _take_filmstrips(found, dataset, number, frames)
    return found


def _take_filmstrips(found: Inspection, dataset: CalvinDataset, number: int, frames: int) -> None:
    start, end, text = dataset.annotations[number]
    shown = np.linspace(start, end - 1, min(frames, end - start)).astype(int)
    for camera in dataset.cameras:
        found.add_filmstrip(number, camera, text, dataset.images(camera, shown, number))
