"""RLDS folders (TensorFlow Datasets of episodes), read without TensorFlow."""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from .errors import DatasetError
from .frame_cache import FrameCache
from .known_embodiments import KNOWN_EMBODIMENTS, KnownEmbodiment
from .tfrecord import parse_example, read_record, records
from .windows import check_sizes, window_rows

STEPS = "steps/"
KEPT_EPISODES = 4


class RLDSDataset(Dataset):
    """Every step of the episodes as the newest frame of a window sample; samples are those of `LeRobotDataset`.

    The first opening reads every record once, verifies its checksum and stores where episodes lie, with their actions
    and states, in a cache of its own (`ROBOVLMS_CACHE`, or ~/.cache/robovlms); the folder is never written to.

    Args:
        folder: with features.json, dataset_info.json and TFRecord files.
        window_size, chunk_size: shape of a sample.
        cameras: image features of `steps/observation`, in order; by default those of the known embodiment, else all.
        split: which of the files: those named NAME-{split}.tfrecord-...
        action, state, instruction: features of a step; several of `action` or `state` are joined in that order. The
            instruction is the first feature whose name holds "instruction" where none is named.
        fps: control frequency, which these files don't have; that of the known embodiment by default.
        embodiment: name that samples carry; that of the known embodiment, or of the dataset, by default.
        action_names, state_names: of their dimensions; numbered by default.
        cache_bytes: bound of the decoded frames that each process keeps.

    Raises:
        DatasetError: naming file and offset of a damaged record, or listing the features that there are.
    """

    history_stride, transform, left_edge = 1, None, "mask"
    action_units = state_units = None

    def __init__(
        self,
        folder: str | Path,
        window_size: int = 8,
        chunk_size: int = 10,
        cameras: Sequence[str] | None = None,
        split: str = "train",
        action: str | Sequence[str] = "action",
        state: str | Sequence[str] | None = "observation/state",
        instruction: str | None = None,
        fps: float | None = None,
        embodiment: str | None = None,
        action_names: Sequence[str] | None = None,
        state_names: Sequence[str] | None = None,
        cache_bytes: int = 128 * 2**20,
    ):
        check_sizes(window_size=window_size, chunk_size=chunk_size)
        self.folder, self.split = Path(folder), split
        self.window_size, self.chunk_size = window_size, chunk_size
        self.name = str(self._json("dataset_info.json")["name"])
        self.features = _flat(self._json("features.json"))
        known = self.known_embodiment
        if fps is None and known is None:
            raise DatasetError("RLDS files don't say the control frequency: give fps", self.folder)
        self.fps = float(fps if fps is not None else known.control_frequency if known is not None else 0)
        self.embodiment = embodiment or (known.name if known is not None else self.name)
        self.cameras = self._choose_cameras(cameras)
        self._action_keys, self._state_keys = _keys(action), _keys(state)
        for key in self._action_keys + self._state_keys:
            self._require(key, "action" if key in self._action_keys else "state")
        self._instruction_key = self._find_instruction(instruction)
        self.files = sorted(self.folder.glob(f"*-{split}.tfrecord-*"))
        if not self.files:
            found = sorted(
                {path.name.split(".tfrecord")[0].rpartition("-")[2] for path in self.folder.glob("*.tfrecord*")}
            )
            raise DatasetError(f"no files of split {split!r}, there are {found}", self.folder)
        self._read_index()
        width = self.action.shape[1]
        names = known.action_names if known is not None and len(known.action_names) == width else None
        self.action_names = list(action_names or names or [f"action_{number}" for number in range(width)])
        width = 0 if self.state is None else self.state.shape[1]
        self.state_names = list(state_names or [f"state_{number}" for number in range(width)])
        self.cache = FrameCache(cache_bytes)
        self._opened: dict[int, dict[str, list[bytes]]] = {}
        self.frames_decoded = 0

    @property
    def num_episodes(self) -> int:
        return len(self.episode_starts) - 1

    @property
    def instructions(self) -> list[str]:
        """The different instructions of the dataset, sorted."""
        return sorted(set(self._instructions))

    @property
    def origin(self) -> str:
        """The dataset's name and split: nothing of the machine it lies on."""
        return f"{self.name} {self.split}"

    @property
    def known_embodiment(self) -> KnownEmbodiment | None:
        return next((entry for entry in KNOWN_EMBODIMENTS.values() if self.name in entry.rlds), None)

    @property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} of the first frame."""
        return {camera: self.images(camera, 0, np.array([0])).shape[1:3] for camera in self.cameras}

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep all decoded frames."""
        frame_bytes = sum(3 * height * width for height, width in self.camera_shapes.values())
        return len(self) * frame_bytes <= self.cache.max_bytes

    def stretches(self) -> list[range]:
        """Sample indices of each episode (see EpisodeBlockSampler)."""
        edges = self.episode_starts.tolist()
        return [range(a, b) for a, b in pairwise(edges)]

    def __len__(self) -> int:
        return int(self.episode_starts[-1])

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a dataset of {len(self)} steps")
        index = int(index) % len(self)
        episode = int(np.searchsorted(self.episode_starts, index, side="right") - 1)
        start, end = self.episode_starts[episode : episode + 2].tolist()
        frames, frame_mask, steps, action_mask = window_rows(
            index - start, end - start, self.window_size, self.chunk_size
        )
        sample = {
            "images": {camera: self.images(camera, episode, frames) for camera in self.cameras},
            "actions": self.action[start + steps],
            "action_mask": action_mask,
            "frame_mask": frame_mask,
            "instruction": self._instructions[index],
            "episode": episode,
            "frame": index - start,
            "embodiment": self.embodiment,
        }
        return sample if self.state is None else sample | {"state": self.state[start + frames]}

    def images(self, camera: str, episode: int, frames: np.ndarray) -> np.ndarray:
        """Images uint8 (frames, height, width, 3) of one camera: steps `frames` of an episode."""
        images = []
        for frame in frames.tolist():
            image = self.cache.get((camera, episode, frame))
            if image is None:
                try:
                    with Image.open(io.BytesIO(self._pictures(episode)[camera][frame])) as picture:
                        image = np.asarray(picture.convert("RGB"))
                except OSError as error:
                    raise DatasetError(f"camera {camera!r}, step {frame}: {error}", self.folder, episode) from error
                self.frames_decoded += 1
                self.cache.put((camera, episode, frame), image)
            images.append(image.copy())
        return np.stack(images)

    def _pictures(self, episode: int) -> dict[str, list[bytes]]:
        """The encoded images of an episode by camera; the last few episodes are kept."""
        if episode not in self._opened:
            file, offset = self._places[episode].tolist()
            example = parse_example(read_record(self.files[file], offset, self.name))
            while len(self._opened) >= KEPT_EPISODES:
                self._opened.pop(next(iter(self._opened)))
            keys = {camera: f"{STEPS}observation/{camera}" for camera in self.cameras}
            self._opened[episode] = {camera: list(example[key]) for camera, key in keys.items()}
        return self._opened[episode]

    def _read_index(self) -> None:
        """Where episodes lie, and their numbers: from the cache, or by one pass over all records."""
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]
        asked = [str(self.folder.resolve()), stamps, self._action_keys, self._state_keys, self._instruction_key]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]
        root = Path(os.environ.get("ROBOVLMS_CACHE", Path.home() / ".cache" / "robovlms"))
        file = root / "rlds" / f"{key}.npz"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f"{key}.{os.getpid()}.npz")
            found = self._index()
            np.savez(
                partial,
                places=found["places"],
                starts=found["starts"],
                action=found["action"],
                state=found["state"],
                instructions=found["instructions"],
            )
            partial.replace(file)
        with np.load(file, allow_pickle=False) as index:
            self._places, self.episode_starts, self.action = index["places"], index["starts"], index["action"]
            self._instructions = [str(text) for text in index["instructions"]]
            self.state: np.ndarray | None = index["state"] if self._state_keys else None

    def _index(self) -> dict[str, np.ndarray]:
        places, lengths, actions, states, texts = [], [], [], [], list[str]()
        for number, file in enumerate(self.files):
            for offset, content in records(file, self.name):
                try:
                    example = parse_example(content)
                    action = self._joined(example, self._action_keys)
                    state = self._joined(example, self._state_keys) if self._state_keys else np.zeros((len(action), 0))
                    words = [bytes(text).decode() for text in example[STEPS + self._instruction_key]]
                    if not len(action) == len(state) == len(words):
                        raise ValueError(f"{len(action)} actions, {len(state)} states, {len(words)} instructions")
                except (ValueError, KeyError) as error:
                    raise DatasetError(f"the record at offset {offset}: {error}", self.name, file=file.name) from error
                if not (np.isfinite(action).all() and np.isfinite(state).all()):
                    raise DatasetError(f"the record at offset {offset}: non-finite values", self.name, file=file.name)
                places.append((number, offset))
                lengths.append(len(action))
                actions.append(action)
                states.append(state.astype(np.float32))
                texts += words
        if not places:
            raise DatasetError("no episodes", self.folder)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        arrays = {"action": np.concatenate(actions), "state": np.concatenate(states)}
        return arrays | {"places": np.array(places), "starts": starts, "instructions": np.array(texts)}

    def _joined(self, example: dict, keys: list[str]) -> np.ndarray:
        parts = []
        for key in keys:
            width = int(np.prod(self.features[STEPS + key]["shape"], dtype=int))
            parts.append(np.asarray(example[STEPS + key], np.float32).reshape(-1, width))
        return np.concatenate(parts, axis=1)

    def _require(self, key: str, what: str) -> None:
        feature = self.features.get(STEPS + key)
        if feature is None or feature["kind"] not in ("Tensor", "Scalar") or feature["encoding"] != "none":
            numbers = [
                name.removeprefix(STEPS) for name, one in self.features.items() if one["kind"] in ("Tensor", "Scalar")
            ]
            raise DatasetError(f"no numeric feature {key!r} of a step; name {what}= of {numbers}", self.folder)

    def _choose_cameras(self, cameras: Sequence[str] | None) -> list[str]:
        prefix = f"{STEPS}observation/"
        there = [name.removeprefix(prefix) for name, one in self.features.items() if one["kind"] == "Image"]
        if cameras is None:
            cameras = there if self.known_embodiment is None else self.known_embodiment.cameras
        if unknown := [camera for camera in cameras if camera not in there]:
            raise DatasetError(f"unknown cameras {unknown}, the dataset has {there}", self.folder)
        return list(cameras)

    def _find_instruction(self, asked: str | None) -> str:
        texts = [name.removeprefix(STEPS) for name, one in self.features.items() if one["kind"] == "Text"]
        found = [name for name in texts if (name == asked if asked else "instruction" in name)]
        if not found:
            raise DatasetError(f"no text feature {asked or 'instruction'!r} of a step, there are {texts}", self.folder)
        return found[0]

    def _json(self, name: str) -> dict:
        path = self.folder / name
        if not path.exists():
            raise DatasetError(
                "missing file: not a TFDS folder (with its version, as in bridge/1.0.0)", self.folder, file=name
            )
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DatasetError(f"not JSON: {error}", self.folder, file=name) from error


def _keys(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _flat(description: dict, prefix: str = "") -> dict[str, dict]:
    """The features of features.json by their name in an example: {"kind", "shape", "encoding"}."""
    kind = description["pythonClassName"].rpartition(".")[2]
    if "featuresDict" in description:
        parts = description["featuresDict"]["features"].items()
        return {key: one for name, part in parts for key, one in _flat(part, f"{prefix}{name}/").items()}
    if "sequence" in description:
        return _flat(description["sequence"]["feature"], prefix)
    details = next((description[name] for name in ("tensor", "image", "text") if name in description), {})
    shape = [int(size) for size in details.get("shape", {}).get("dimensions", ())]
    return {prefix.rstrip("/"): {"kind": kind, "shape": shape, "encoding": details.get("encoding", "none")}}
