"""CALVIN folders: `episode_*.npz` frames and language annotations, with the window and mask semantics of RoboVLMs."""

import pickle
import re
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from tqdm import tqdm

from .errors import DatasetError
from .frame_cache import FrameCache
from .known_embodiments import CALVIN, KnownEmbodiment
from .restricted_pickle import load_array
from .windows import WindowSample, check_sizes

CAMERAS = {"static": "rgb_static", "gripper": "rgb_gripper"}
ANNOTATIONS = "lang_annotations/auto_lang_ann.npy"
ACTION_NAMES = ("x", "y", "z", "euler_x", "euler_y", "euler_z", "gripper")
STATE_NAMES = (
    *("tcp_x", "tcp_y", "tcp_z", "tcp_euler_x", "tcp_euler_y", "tcp_euler_z", "gripper_width"),
    *(f"joint_{number}" for number in range(1, 8)),
    "gripper_action",
)


class CalvinDataset(Dataset):
    """Windows of the language-annotated stretches of a CALVIN folder.

    For an annotation (s, e), samples start at frames s ... e - window_size: every observed frame is real, there is no
    padding on the left. `actions[w, k]` is the action executed at frame start + w + k; from frame e on it is masked
    (the dataset repeats frame e there). The sample is that of `LeRobotDataset`: `episode` is the number of the
    annotation, `frame` the newest frame counted from s.

    The annotation file is a pickle; it is read by an unpickler that can build arrays, lists and strings only.

    Args:
        folder: the dataset (holding training/ and validation/), or one of the two.
        split: "training" or "validation"; ignored where `folder` is one of them.
        window_size, chunk_size: shape of a sample.
        cameras: of "static" and "gripper".
        actions: "rel_actions" (relative TCP pose in the world frame, scaled and clipped to [-1, 1]) or "actions"
            (absolute).
        scenes: e.g. "ABC": only annotations of these environments, by the folder's scene_info.npy.
        embodiment: name that samples carry.
        cache_bytes: bound of the frames that each process keeps.
    """

    fps, history_stride, transform = 30.0, 1, None
    action_units = state_units = None

    def __init__(
        self,
        folder: str | Path,
        split: str = "training",
        window_size: int = 8,
        chunk_size: int = 10,
        cameras: Sequence[str] = ("static", "gripper"),
        actions: str = "rel_actions",
        scenes: str | None = None,
        embodiment: str = "calvin",
        cache_bytes: int = 128 * 2**20,
    ):
        check_sizes(window_size=window_size, chunk_size=chunk_size)
        unknown = [camera for camera in cameras if camera not in CAMERAS]
        if unknown:
            raise ValueError(f"unknown cameras {unknown}, CALVIN has {list(CAMERAS)}")
        if actions not in ("rel_actions", "actions"):
            raise ValueError(f"actions must be 'rel_actions' or 'actions', got {actions!r}")
        folder = Path(folder)
        self.folder = folder if (folder / "lang_annotations").is_dir() else folder / split
        self.window_size, self.chunk_size, self.embodiment = window_size, chunk_size, embodiment
        self.cameras, self._action_key = tuple(cameras), actions
        self.annotations = self._read_annotations()
        if scenes is not None:
            self.annotations = self._in_scenes(scenes)
        self._check_recordings()
        self._file_name = self._find_file_name()
        counts = [max(0, end - window_size - start + 1) for start, end, _ in self.annotations]
        if not sum(counts):
            raise DatasetError(f"no annotated stretch has {window_size} frames", self.folder, file=ANNOTATIONS)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self.cache = FrameCache(cache_bytes)
        self._rows = FrameCache(8 * 2**20)  # actions and states, about 90,000 frames
        self.frames_decoded = 0

    @property
    def action(self) -> np.ndarray:
        """The actions of all annotated frames, float32 (frames, 7). The first call reads every file."""
        return self._tables[:, : len(ACTION_NAMES)]

    @property
    def state(self) -> np.ndarray:
        """The states of all annotated frames, float32 (frames, 15). The first call reads every file."""
        return self._tables[:, len(ACTION_NAMES) :]

    @property
    def episode_starts(self) -> np.ndarray:
        """Rows of `action` and `state` at which unbroken stretches begin, and their number at the end."""
        frames = np.array(sorted(self._annotated()))
        return np.concatenate([[0], np.flatnonzero(np.diff(frames) != 1) + 1, [len(frames)]])

    def _annotated(self) -> dict[int, int]:
        """Each annotated frame, and one of its annotations, for errors."""
        wanted: dict[int, int] = {}
        for number, (start, end, _) in enumerate(self.annotations):
            wanted |= dict.fromkeys(range(start, end), number)
        return wanted

    @cached_property
    def _tables(self) -> np.ndarray:
        """Actions and states of all annotated frames, in the order of their numbers."""
        wanted = self._annotated()
        frames = tqdm(sorted(wanted), desc="reading actions and states", unit="frame", delay=2)
        return np.stack([np.concatenate(self._row(frame, wanted[frame])) for frame in frames])

    @property
    def num_episodes(self) -> int:
        return len(self.annotations)

    @property
    def instructions(self) -> list[str]:
        """The different instructions of the dataset, sorted."""
        return sorted({text for *_, text in self.annotations})

    @property
    def origin(self) -> str:
        """The folder's own name and split."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name} {self._action_key}"

    @property
    def known_embodiment(self) -> KnownEmbodiment | None:
        return CALVIN if self._action_key == "rel_actions" else None

    @property
    def action_names(self) -> list[str]:
        return list(ACTION_NAMES)

    @property
    def state_names(self) -> list[str]:
        return list(STATE_NAMES)

    @property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} of the first frame."""
        start, *_ = self.annotations[0]
        return {camera: self.images(camera, np.array([start]), 0).shape[1:3] for camera in self.cameras}

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep all annotated frames; else samples should be drawn in blocks of annotations."""
        frame_bytes = sum(3 * height * width for height, width in self.camera_shapes.values())
        return sum(end - start for start, end, _ in self.annotations) * frame_bytes <= self.cache.max_bytes

    def stretches(self) -> list[range]:
        """Sample indices of each annotation (see EpisodeBlockSampler)."""
        pairs = zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        return [range(start, stop) for start, stop in pairs if stop > start]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> WindowSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a dataset of {len(self)} windows")
        index = int(index) % len(self)
        number = int(np.searchsorted(self._starts, index, side="right") - 1)
        first, end, instruction = self.annotations[number]
        start = first + index - int(self._starts[number])
        frames = start + np.arange(self.window_size)
        steps = frames[:, None] + np.arange(self.chunk_size)
        return WindowSample(
            images={camera: self.images(camera, frames, number) for camera in self.cameras},
            state=np.stack([self._row(frame, number)[1] for frame in frames.tolist()]),
            actions=self._actions(np.minimum(steps, end), number),
            action_mask=steps < end,
            frame_mask=np.ones(self.window_size, bool),
            instruction=instruction,
            episode=number,
            frame=int(frames[-1]) - first,
            embodiment=self.embodiment,
        )

    def frame_ids(self, index: int) -> np.ndarray:
        """Numbers of the files that the window of sample `index` shows (window,)."""
        number = int(np.searchsorted(self._starts, index, side="right") - 1)
        return self.annotations[number][0] + index - int(self._starts[number]) + np.arange(self.window_size)

    def images(self, camera: str, frames: np.ndarray, number: int) -> np.ndarray:
        """Images uint8 (frames, height, width, 3) of one camera: files `frames`, of the `number`-th annotation."""
        images = []
        for frame in frames.tolist():
            image = self.cache.get((camera, frame))
            if image is None:
                self._read(frame, number)
                image = self.cache.get((camera, frame))
            if image is None:
                raise ValueError(f"cache_bytes = {self.cache.max_bytes} does not hold one image")
            images.append(image.copy())
        return np.stack(images)

    def _actions(self, steps: np.ndarray, number: int) -> np.ndarray:
        rows = {frame: self._row(frame, number)[0] for frame in np.unique(steps).tolist()}
        return np.stack([[rows[frame] for frame in chunk] for chunk in steps.tolist()])

    def _row(self, frame: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(action, state) of a frame."""
        row = self._rows.get(frame)
        if row is None:
            row = self._read(frame, number, with_images=False)
        row = row.copy()
        return row[: len(ACTION_NAMES)], row[len(ACTION_NAMES) :]

    def _read(self, frame: int, number: int, with_images: bool = True) -> np.ndarray:
        name = self._file_name.format(frame)
        path = self.folder / name
        if not path.exists():
            raise DatasetError("missing file", self.folder, number, name)
        try:
            with np.load(path, allow_pickle=False) as file:
                row = tuple(np.asarray(file[key], np.float32) for key in (self._action_key, "robot_obs"))
                images = {camera: file[CAMERAS[camera]] for camera in self.cameras} if with_images else {}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(f"not a readable CALVIN frame: {error}", self.folder, number, name) from error
        widths = (len(ACTION_NAMES), len(STATE_NAMES))
        if tuple(len(values) for values in row) != widths:
            raise DatasetError(f"action and state must have {widths} values", self.folder, number, name)
        if not all(np.isfinite(values).all() for values in row):
            raise DatasetError("non-finite values", self.folder, number, name)
        kept = np.concatenate(row)
        self._rows.put(frame, kept)
        for camera, image in images.items():
            self.frames_decoded += 1
            self.cache.put((camera, frame), image)
        return kept

    def _load(self, file: str):
        path = self.folder / file
        if not path.exists():
            raise DatasetError("missing file", self.folder, file=file)
        try:
            return load_array(path)
        except (pickle.UnpicklingError, ValueError, EOFError) as error:
            raise DatasetError(f"not a readable annotation file: {error}", self.folder, file=file) from error

    def _read_annotations(self) -> list[tuple[int, int, str]]:
        content = self._load(ANNOTATIONS)
        try:
            content = content.item()
            ranges, texts = content["info"]["indx"], content["language"]["ann"]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DatasetError(f"not CALVIN's annotations: {error!r}", self.folder, file=ANNOTATIONS) from error
        return [(int(start), int(end), str(text)) for (start, end), text in zip(ranges, texts, strict=True)]

    def _in_scenes(self, scenes: str) -> list[tuple[int, int, str]]:
        info = self._load("scene_info.npy").item()
        known = {name[-1]: tuple(int(frame) for frame in frames) for name, frames in info.items()}
        missing = [scene for scene in scenes if scene not in known]
        if missing:
            raise DatasetError(f"no scenes {missing}, there are {sorted(known)}", self.folder, file="scene_info.npy")
        spans = [known[scene] for scene in scenes]
        return [a for a in self.annotations if any(first <= a[0] and a[1] <= last for first, last in spans)]

    def _check_recordings(self) -> None:
        """Each annotation must lie inside one continuous recording."""
        if not (self.folder / "ep_start_end_ids.npy").exists():
            raise DatasetError("missing file", self.folder, file="ep_start_end_ids.npy")
        recordings = np.asarray(self._load("ep_start_end_ids.npy")).reshape(-1, 2)
        for number, (start, end, _) in enumerate(self.annotations):
            if not ((recordings[:, 0] <= start) & (end <= recordings[:, 1])).any():
                raise DatasetError(
                    f"annotation {start} ... {end} is not inside one recording of ep_start_end_ids.npy",
                    self.folder,
                    number,
                    ANNOTATIONS,
                )

    def _find_file_name(self) -> str:
        """The pattern of frame files; the number of digits differs between releases."""
        first = next(self.folder.glob("episode_*.npz"), None)
        match = re.fullmatch(r"episode_(\d+)\.npz", first.name) if first else None
        if match is None:
            raise DatasetError("no episode_*.npz files", self.folder)
        return f"episode_{{:0{len(match[1])}d}}.npz"
