"""RLDS folders (TensorFlow Datasets of episodes), read without TensorFlow."""

import io
import json
import warnings
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from .errors import DatasetError
from .formats import find_rlds_folder
from .frame_cache import FrameCache
from .known_embodiments import KNOWN_EMBODIMENTS, KnownEmbodiment, RLDSLayout
from .lerobot_tables import ranges
from .rlds_features import STEPS, step_features
from .rlds_index import RLDSIndex, StepKeys, read_index, shortfalls
from .tfrecord import parse_example, read_record
from .windows import WindowSample, check_distinct, check_positive, check_sizes, window_rows

OBSERVATION = "observation/"
KEPT_EPISODES = 4


class RLDSDataset(Dataset):
    """Every step of the chosen episodes as the newest frame of a window sample; samples are those of `LeRobotDataset`.

    The first opening reads every record once, verifies its checksum and stores where episodes lie, with their actions
    and states, in a cache of its own (`ROBOVLMS_CACHE`, or ~/.cache/robovlms); the folder is never written to.

    Args:
        folder: with features.json, dataset_info.json and TFRecord files; or with one version below it that has them.
        window_size, chunk_size, history_stride: shape of a sample; the stride is in steps.
        cameras: image features of a step's observation, in order; by default those of the known embodiment, else all in
            colour.
        split: which of the files: those named NAME-{split}.tfrecord-...
        action, state, instruction: features of a step ("action/world_vector"); several of `action` or `state` are
            joined in that order, `state=()` is none. By default those of the known embodiment, else "action",
            "observation/state" where there is one, and the first text whose name holds "instruction".
        fps: control frequency, which these files don't have; that of the known embodiment by default.
        embodiment: name that samples carry; that of the known embodiment, or of the dataset, by default.
        action_names, state_names: of their dimensions; those of the known embodiment, or the features' names, by default.
        cache_bytes: bound of the decoded frames that each process keeps.
        episodes: their numbers in the split, in the wanted order.

    Raises:
        DatasetError: naming file and offset of a damaged record, or listing the features that there are.

    Example:
        dataset = RLDSDataset("tensorflow_datasets/my_dataset", window_size=8, chunk_size=10, fps=10)
        print(dataset.num_episodes, len(dataset), dataset.instructions)
        contract = action_contract(dataset, n_action_steps=5)
        loader = DataLoader(dataset, batch_size=8, collate_fn=VLACollator(processor))
    """

    transform, left_edge = None, "mask"
    action_units = state_units = None

    def __init__(
        self,
        folder: str | Path,
        window_size: int = 8,
        chunk_size: int = 10,
        cameras: Sequence[str] | None = None,
        split: str = "train",
        action: str | Sequence[str] | None = None,
        state: str | Sequence[str] | None = None,
        instruction: str | None = None,
        fps: float | None = None,
        embodiment: str | None = None,
        action_names: Sequence[str] | None = None,
        state_names: Sequence[str] | None = None,
        cache_bytes: int = 128 * 2**20,
        history_stride: int = 1,
        episodes: Sequence[int] | None = None,
    ):
        check_sizes(window_size=window_size, chunk_size=chunk_size, history_stride=history_stride)
        check_distinct(cameras=cameras)
        self.folder, self.split = find_rlds_folder(folder), split
        self.window_size, self.chunk_size, self.history_stride = window_size, chunk_size, history_stride
        self.info = self._json("dataset_info.json")
        self.name = str(self.info["name"])
        self.features = step_features(self._json("features.json"))
        known = self._listed
        self.fps = self._choose_fps(fps)
        self.embodiment = embodiment or (known.name if known is not None else self.name)
        self.camera_keys = self._choose_cameras(cameras)
        self.keys = StepKeys(
            self._choose_action(action), self._choose_state(state), self._find_instruction(instruction)
        )
        self.files = self._find_files()
        self._index = self._read_index()
        self.shortfalls = shortfalls(self.files, self.info, split, self._index)
        for shortfall in self.shortfalls:
            warnings.warn(f"dataset {str(self.folder)!r}: {shortfall}", stacklevel=2)
        self.episodes = self._choose_episodes(episodes)
        whole = self._index.starts
        rows = [np.arange(whole[episode], whole[episode + 1]) for episode in self.episodes]
        self._rows = np.concatenate(rows)
        self.episode_starts = np.concatenate([[0], np.cumsum([len(part) for part in rows])])
        is_whole = len(self._rows) == whole[-1] and episodes is None
        self.action = self._index.action if is_whole else self._index.action[self._rows]
        state_rows = self._index.state if is_whole else self._index.state[self._rows]
        self.state: np.ndarray | None = state_rows if self.keys.state else None
        self.action_names = self._names(action_names, self.keys.action, "action")
        self.state_names = self._names(state_names, self.keys.state, "state")
        self.cache = FrameCache(cache_bytes)
        self._opened: dict[int, dict[str, list[bytes]]] = {}
        self.frames_decoded = 0

    @property
    def cameras(self) -> list[str]:
        return list(self.camera_keys)

    @property
    def num_episodes(self) -> int:
        return len(self.episodes)

    @property
    def instructions(self) -> list[str]:
        """The different instructions of the dataset, sorted."""
        return sorted(self._index.texts[np.unique(self._index.text_of[self._rows])].tolist())

    @property
    def origin(self) -> str:
        """The dataset's name and split: nothing of the machine it lies on."""
        return f"{self.name} {self.split}"

    @property
    def known_embodiment(self) -> KnownEmbodiment | None:
        """What `known_embodiments` says of this dataset, where its actions are those that the table means."""
        layout = self._layout
        return self._listed if layout is not None and self.keys.action == layout.action else None

    @property
    def state_candidates(self) -> list[str]:
        """Features that may be the state of a dataset in which none was found; `state` chooses among them."""
        return [] if self.keys.state else [key for key in self._numbers if key.startswith(OBSERVATION)]

    @cached_property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} of the first frame."""
        shapes = {camera: self.images(camera, 0, np.array([0])).shape for camera in self.camera_keys}
        return {camera: (shape[1], shape[2]) for camera, shape in shapes.items()}

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep all decoded frames."""
        frame_bytes = sum(3 * height * width for height, width in self.camera_shapes.values())
        return len(self) * frame_bytes <= self.cache.max_bytes

    def stretches(self) -> list[range]:
        """Sample indices of each episode (see EpisodeBlockSampler)."""
        edges = self.episode_starts.tolist()
        return [range(a, b) for a, b in pairwise(edges)]

    def instruction(self, row: int) -> str:
        """Return the instruction of a row of `action`."""
        return str(self._index.texts[self._index.text_of[self._rows[row]]])

    def __len__(self) -> int:
        return int(self.episode_starts[-1])

    def __getitem__(self, index: int) -> WindowSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a dataset of {len(self)} steps")
        index = int(index) % len(self)
        position = int(np.searchsorted(self.episode_starts, index, side="right") - 1)
        start, end = self.episode_starts[position : position + 2].tolist()
        frames, frame_mask, steps, action_mask = window_rows(
            index - start, end - start, self.window_size, self.chunk_size, self.history_stride
        )
        sample = WindowSample(
            images={camera: self.images(camera, position, frames) for camera in self.camera_keys},
            actions=self.action[start + steps],
            action_mask=action_mask,
            frame_mask=frame_mask,
            instruction=self.instruction(index),
            episode=self.episodes[position],
            frame=index - start,
            embodiment=self.embodiment,
        )
        return sample if self.state is None else sample | {"state": self.state[start + frames]}

    def images(self, camera: str, position: int, frames: np.ndarray) -> np.ndarray:
        """Images uint8 (frames, height, width, 3) of one camera: steps `frames` of the `position`-th chosen episode."""
        images = []
        for frame in frames.tolist():
            image = self.cache.get((camera, position, frame))
            if image is None:
                image = self._decode(camera, position, frame)
                self.cache.put((camera, position, frame), image)
            images.append(image.copy())
        if len({image.shape for image in images}) > 1:
            sizes = sorted({"x".join(map(str, image.shape[:2])) for image in images})
            problem = f"camera {camera!r}: pictures of different sizes, {sizes}"
            raise DatasetError(problem, self.folder, self.episodes[position])
        return np.stack(images)

    def _decode(self, camera: str, position: int, frame: int) -> np.ndarray:
        encoded = self._pictures(position)[camera]
        steps = int(self.episode_starts[position + 1] - self.episode_starts[position])
        if len(encoded) != steps:
            problem = f"feature {self.camera_keys[camera]!r} has {len(encoded)} pictures for {steps} steps"
            raise self._error_in(position, problem)
        try:
            with Image.open(io.BytesIO(encoded[frame])) as picture:
                self.frames_decoded += 1
                return np.asarray(picture.convert("RGB"))
        except OSError as error:
            raise self._error_in(position, f"camera {camera!r}, step {frame}: {error}") from error

    def _pictures(self, position: int) -> dict[str, list[bytes]]:
        """The encoded images of an episode by camera; the last few episodes are kept."""
        if position not in self._opened:
            file, offset = self._index.places[self.episodes[position]].tolist()
            keys = {camera: STEPS + key for camera, key in self.camera_keys.items()}
            example = parse_example(
                read_record(self.files[file], offset, self.name, verified=True), set(keys.values())
            )
            while len(self._opened) >= KEPT_EPISODES:
                self._opened.pop(next(iter(self._opened)))
            self._opened[position] = {camera: list(example.get(key, [])) for camera, key in keys.items()}
        return self._opened[position]

    def _error_in(self, position: int, problem: str) -> DatasetError:
        episode = self.episodes[position]
        file, offset = self._index.places[episode].tolist()
        return DatasetError(f"the record at offset {offset}: {problem}", self.folder, episode, self.files[file].name)

    def _read_index(self) -> RLDSIndex:
        return read_index(self.files, self.name, self.keys, self.features)

    @cached_property
    def _listed(self) -> KnownEmbodiment | None:
        """The entry of the table that lists a dataset of this name."""
        entries = KNOWN_EMBODIMENTS.values()
        return next((one for one in entries if one.rlds is not None and self.name in one.rlds.names), None)

    @property
    def _layout(self) -> RLDSLayout | None:
        return self._listed.rlds if self._listed is not None else None

    @property
    def _numbers(self) -> list[str]:
        return [key for key, feature in self.features.items() if feature.is_number]

    def _choose_fps(self, fps: float | None) -> float:
        if fps is None and self._listed is None:
            raise DatasetError("RLDS files don't say the control frequency: give fps", self.folder)
        chosen = fps if fps is not None else self._listed.control_frequency if self._listed is not None else 0
        check_positive(fps=chosen)
        return float(chosen)

    def _choose_action(self, asked: str | Sequence[str] | None) -> tuple[str, ...]:
        layout = self._layout
        keys = _keys(asked) if asked is not None else ("action",) if layout is None else layout.action
        return self._require(keys, "action")

    def _choose_state(self, asked: str | Sequence[str] | None) -> tuple[str, ...]:
        if asked is not None:
            return self._require(_keys(asked), "state")
        if self._layout is not None:
            return self._require(self._layout.state, "state")
        usual = f"{OBSERVATION}state"
        return (usual,) if usual in self._numbers else ()

    def _require(self, keys: Sequence[str], what: str) -> tuple[str, ...]:
        check_distinct(**{what: keys})
        for key in keys:
            if key not in self._numbers:
                raise DatasetError(
                    f"no numeric feature {key!r} of a step; name {what}= of {self._numbers}", self.folder
                )
        if what == "action" and not keys:
            raise DatasetError(f"no action; name action= of {self._numbers}", self.folder)
        return tuple(keys)

    def _choose_cameras(self, cameras: Sequence[str] | None) -> dict[str, str]:
        pictures = {
            key.removeprefix(OBSERVATION): key
            for key, feature in self.features.items()
            if key.startswith(OBSERVATION) and feature.is_colour
        }
        pairs = self._layout.cameras if self._layout is not None else ()
        renamed = {pair[0]: pair[1] for pair in pairs}
        there = {renamed.get(name, name): key for name, key in pictures.items()}
        if cameras is None:
            cameras = list(there) if self._listed is None else self._listed.cameras
        unknown = [camera for camera in cameras if camera not in there and camera not in pictures]
        if unknown:
            kinds = [
                self.features[OBSERVATION + camera] for camera in unknown if OBSERVATION + camera in self.features
            ]
            depth = any(kind.kind == "Image" for kind in kinds)
            problem = f"cameras {unknown} hold no colour" if depth else f"unknown cameras {unknown}"
            raise DatasetError(f"{problem}, the dataset has {list(there)}", self.folder)
        return {camera: there[camera] if camera in there else pictures[camera] for camera in cameras}

    def _find_instruction(self, asked: str | None) -> str:
        texts = [key for key, feature in self.features.items() if feature.is_text]
        found = [key for key in texts if (key == asked if asked else "instruction" in key)]
        if not found:
            raise DatasetError(f"no text feature {asked or 'instruction'!r} of a step, there are {texts}", self.folder)
        return found[0]

    def _find_files(self) -> list[Path]:
        if (kind := self.info.get("fileFormat", "tfrecord")) != "tfrecord":
            raise DatasetError(
                f"its files are {kind}, and only tfrecord is read", self.folder, file="dataset_info.json"
            )
        files = sorted(self.folder.glob(f"*-{self.split}.tfrecord*"))
        if not files:
            names = {path.name.split(".tfrecord")[0].rpartition("-")[2] for path in self.folder.glob("*.tfrecord*")}
            raise DatasetError(f"no files of split {self.split!r}, there are {sorted(names)}", self.folder)
        return files

    def _choose_episodes(self, asked: Sequence[int] | None) -> list[int]:
        count = len(self._index.places)
        chosen = list(range(count)) if asked is None else [int(episode) for episode in asked]
        if unknown := [episode for episode in chosen if not 0 <= episode < count]:
            problem = f"unknown episodes {unknown[:5]} in `episodes`, there are {count}: {ranges(range(count))}"
            raise DatasetError(problem, self.folder)
        if not chosen:
            raise DatasetError("no episodes (`episodes` chooses none)", self.folder)
        return chosen

    def _names(self, asked: Sequence[str] | None, keys: tuple[str, ...], what: str) -> list[str]:
        """The dimensions' names: those asked for, the table's, or the features' own, numbered where there are several."""
        layout, widths = self._layout, [self.features[key].width for key in keys]
        if asked is not None:
            if len(asked) != sum(widths):
                raise ValueError(f"{what}_names has {len(asked)} names for {sum(widths)} dimensions")
            return list(asked)
        if layout is not None and self._listed is not None:
            listed, its = (
                (layout.action, self._listed.action_names) if what == "action" else (layout.state, layout.state_names)
            )
            if keys == listed and len(its) == sum(widths):
                return list(its)
        if len(keys) == 1:
            return [f"{what}_{number}" for number in range(sum(widths))]
        stems = [key.rpartition("/")[2] for key in keys]
        stems = stems if len(set(stems)) == len(stems) else [key.replace("/", "_") for key in keys]
        return [
            stem if width == 1 else f"{stem}_{number}"
            for stem, width in zip(stems, widths, strict=True)
            for number in range(width)
        ]

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


def _keys(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
