"""LeRobotDataset v2.1 and v3.0 folders (or Hub ids) as windows of observations with their action chunks."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch.utils.data import Dataset

from .errors import DatasetError
from .frame_cache import FrameCache
from .images_in_parquet import ImagePool
from .known_embodiments import KnownEmbodiment, known_embodiment
from .lerobot_metadata import LeRobotMetadata
from .lerobot_tables import check_tables, read_tables
from .source import DatasetSource
from .video import VideoError, VideoPool
from .windows import check_sizes, window_rows

if TYPE_CHECKING:
    from .action_transforms import ActionTransform

ACTION, STATE, GROUNDING = "action", "observation.state", "grounding"


class LeRobotDataset(Dataset):
    """Every frame of the chosen episodes as the newest frame of a window sample.

    `dataset[i]` is a dict, with W = window_size, n = chunk_size:
        images {camera: uint8 (W, height, width, 3)}, state float32 (W, state_dim) where the dataset has one,
        actions float32 (W, n, action_dim) in the dataset's own units, action_mask bool (W, n),
        frame_mask bool (W,), instruction str, episode int, frame int, embodiment str,
        grounding float32 (W, grounding_dim) where the dataset has that column (NaN = no label).

    The window ends at frame i. Left of the episode's start its first frame is repeated with `frame_mask` and
    `action_mask` False (see `left_edge`); behind its end the last action is repeated with `action_mask` False.

    Args:
        folder_or_id: a local folder, or a Hub dataset id (its videos are downloaded when first needed).
        window_size, chunk_size, history_stride: shape of a sample; the stride is in frames.
        cameras: camera names (the last part of the feature key) in the wanted order; by default those that the table of
            known embodiments has for the dataset, else all of them.
        episodes: episode indices in the wanted order; `split` instead names one of info.json's splits.
        embodiment: name that samples carry; the dataset's robot_type by default.
        cache_bytes: bound of the decoded frames that each process keeps. A frame is decoded once while it stays
            there: shuffle with `EpisodeBlockSampler` to make that hold for datasets of any size.
        tolerance_s: how far a video frame may be from its row's timestamp.
        left_edge: of windows that begin before their episode: "mask" repeats the first frame, masked; "repeat" repeats
            it as if it were real; "skip" has no such samples, as with CALVIN.
        transform: another way to write the actions (see `action_transforms`), applied before statistics.
    """

    def __init__(
        self,
        folder_or_id: str | Path | DatasetSource,
        window_size: int = 8,
        chunk_size: int = 10,
        cameras: Sequence[str] | None = None,
        history_stride: int = 1,
        episodes: Sequence[int] | None = None,
        embodiment: str | None = None,
        revision: str | None = None,
        cache_bytes: int = 128 * 2**20,
        split: str | None = None,
        tolerance_s: float = 1e-4,
        left_edge: Literal["mask", "repeat", "skip"] = "mask",
        transform: "ActionTransform | None" = None,
    ):
        check_sizes(window_size=window_size, chunk_size=chunk_size, history_stride=history_stride)
        if left_edge not in ("mask", "repeat", "skip"):
            raise ValueError(f"left_edge must be 'mask', 'repeat' or 'skip', got {left_edge!r}")
        self.metadata = LeRobotMetadata(folder_or_id, revision)
        self.window_size, self.chunk_size, self.history_stride = window_size, chunk_size, history_stride
        self.tolerance_s, self.left_edge, self.transform = tolerance_s, left_edge, transform
        self.embodiment = embodiment or self.metadata.robot_type or Path(self.metadata.source.name).name
        self.camera_keys = self._choose_cameras(cameras)
        self.episodes = self._choose_episodes(episodes, split)

        features = self.metadata.features
        if ACTION not in features:
            raise DatasetError(f"no {ACTION!r} feature, only {sorted(features)}", self.metadata.source)
        keys = [key for key in (ACTION, STATE, GROUNDING) if key in features]
        self.tables = read_tables(self.metadata, self.episodes, keys)
        finite = [key for key in keys if key != GROUNDING]
        for problem in check_tables(self.metadata, self.episodes, self.tables, finite, tolerance_s):
            raise problem
        unknown = set(np.unique(self.tables.columns["task_index"])) - set(self.metadata.tasks)
        if unknown:
            raise DatasetError(f"task_index {sorted(unknown)} is not in the task table", self.metadata.source)

        if transform is not None and not transform.per_chunk:
            self.tables.columns[ACTION] = transform.encode(self.tables.columns[ACTION], self.state)
        before = (window_size - 1) * history_stride if left_edge == "skip" else 0
        self._skipped = np.array([min(before, episode.length) for episode in self.episodes])
        counts = [episode.length for episode in self.episodes] - self._skipped
        self._starts = np.concatenate([[0], np.cumsum(counts)])  # first sample of each episode
        if not self._starts[-1]:
            raise DatasetError(f"no episode has the {before + 1} frames of a window", self.metadata.source)

        self.cache = FrameCache(cache_bytes)
        self._videos, self._images = VideoPool(), ImagePool()
        self._frame_bytes = max(1, sum(3 * np.prod(shape) for shape in self.camera_shapes.values()))
        self._block_episodes: int | None = None

    @property
    def fps(self) -> float:
        return self.metadata.fps

    @property
    def frames_decoded(self) -> int:
        """Video frames and images that this process has decoded so far."""
        return self._videos.frames_decoded + self._images.frames_decoded

    @property
    def action(self) -> np.ndarray:
        """All actions of the chosen episodes as samples hold them, float32 (rows, action_dim).

        One row per frame; with a per-chunk transform one per frame and step of its chunk.
        """
        if self.transform is None or not self.transform.per_chunk:
            return self.tables.columns[ACTION]
        ends = np.repeat(self.tables.starts[1:], np.diff(self.tables.starts))
        frames = np.arange(len(ends))
        rows = [(frames[frames + k < ends], k) for k in range(self.chunk_size)]
        return np.concatenate([self._encoded(frames + k, frames) for frames, k in rows])

    @property
    def state(self) -> np.ndarray | None:
        """All states of the chosen episodes, float32 (frames, state_dim), or None."""
        return self.tables.columns.get(STATE)

    @property
    def num_episodes(self) -> int:
        return len(self.episodes)

    @property
    def instructions(self) -> list[str]:
        """The different instructions of the dataset, sorted."""
        return sorted(set(self.metadata.tasks.values()))

    @property
    def origin(self) -> str:
        """Hub id and revision, or the folder's own name, with the transform: nothing of the machine it lies on."""
        source = self.metadata.source
        name = source.root.resolve().name if source.is_local else f"{source.name}@{source.revision}"
        return name if self.transform is None else f"{name} | {self.transform}"

    @property
    def known_embodiment(self) -> KnownEmbodiment | None:
        """What `known_embodiments` says of this dataset."""
        return known_embodiment(self.metadata.source.name)

    @property
    def action_names(self) -> list[str]:
        names = self.metadata.names(ACTION) or _numbered("action", self.metadata.width(ACTION))
        return names if self.transform is None else self.transform.names(names)

    @property
    def state_names(self) -> list[str]:
        return self.metadata.names(STATE) or _numbered("state", self.metadata.width(STATE))

    @property
    def action_units(self) -> list[str] | None:
        return self.metadata.units(ACTION) if self.transform is None else None

    @property
    def state_units(self) -> list[str] | None:
        return self.metadata.units(STATE)

    @property
    def camera_shapes(self) -> dict[str, tuple[int, int]]:
        """{camera: (height, width)} as info.json declares them."""
        return {camera: self.metadata.image_shape(key) for camera, key in self.camera_keys.items()}

    @property
    def fits_in_cache(self) -> bool:
        """Whether a process can keep all decoded frames; else samples should be drawn in blocks of episodes."""
        return int(self.tables.starts[-1]) * int(self._frame_bytes) <= self.cache.max_bytes

    def expect_blocks(self, block_episodes: int | None) -> None:
        """Told by EpisodeBlockSampler: samples come from so many episodes (or stretches of them) at a time.

        Then a whole stretch is decoded in one pass at its first miss, and stretches are cut so that a block of them fits
        in the cache. None: back to random access, where only what a window lacks is decoded.
        """
        self._block_episodes = block_episodes

    def stretches(self) -> list[range]:
        """Sample indices cut into pieces inside one episode that are decoded in one go (see EpisodeBlockSampler)."""
        pieces = []
        for start, skipped, episode in zip(self._starts.tolist(), self._skipped.tolist(), self.episodes, strict=False):
            size = self._stretch_frames(episode.length)
            edges = [skipped, *range(size * (skipped // size + 1), episode.length, size), episode.length]
            pieces += [range(start + a - skipped, start + b - skipped) for a, b in pairwise(edges) if b > a]
        return pieces

    def _stretch_frames(self, length: int) -> int:
        """Frames of the equal pieces that an episode of `length` frames is cut into: a block of them and one more,
        for the frames before their first windows, fit in the cache."""
        fitting = self.cache.max_bytes // (((self._block_episodes or 4) + 1) * self._frame_bytes)
        longest = max(self.window_size * self.history_stride, int(fitting))
        return math.ceil(length / math.ceil(length / longest))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> dict:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of a dataset of {len(self)} frames")
        index = int(index) % len(self)
        position = int(np.searchsorted(self._starts, index, side="right") - 1)
        episode, start = self.episodes[position], int(self.tables.starts[position])
        frame = index - int(self._starts[position]) + int(self._skipped[position])
        frames, frame_mask, steps, action_mask = window_rows(
            frame, episode.length, self.window_size, self.chunk_size, self.history_stride, self.left_edge == "repeat"
        )
        columns = self.tables.columns
        sample = {
            "images": {camera: self.images(camera, position, frames) for camera in self.camera_keys},
            "actions": self._encoded(start + steps, (start + frames)[:, None]),
            "action_mask": action_mask,
            "frame_mask": frame_mask,
            "instruction": self.metadata.tasks[int(columns["task_index"][start + frame, 0])],
            "episode": episode.index,
            "frame": frame,
            "embodiment": self.embodiment,
        }
        if STATE in columns:
            sample["state"] = columns[STATE][start + frames]
        if GROUNDING in columns:
            sample["grounding"] = columns[GROUNDING][start + frames]
        return sample

    def _encoded(self, steps: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Actions of table rows `steps`, with respect to the states of rows `frames` where a transform asks for it."""
        actions = self.tables.columns[ACTION][steps]
        if self.transform is None or not self.transform.per_chunk:
            return actions
        return self.transform.encode(actions, None if self.state is None else self.state[frames])

    def images(self, camera: str, position: int, frames: np.ndarray) -> np.ndarray:
        """Images uint8 (frames, height, width, 3) of one camera: rows `frames` of the `position`-th chosen episode."""
        wanted: list[int] = frames.tolist()
        cached = {frame: self.cache.get((camera, position, frame)) for frame in wanted}
        images = {frame: image for frame, image in cached.items() if image is not None}
        missing = sorted(cached.keys() - images.keys())
        if not missing:
            return np.stack([images[frame] for frame in wanted])
        images = {frame: image.copy() for frame, image in images.items()}  # the cache is about to change
        if self._block_episodes is not None:
            missing = self._with_stretch(camera, position, int(frames[-1]), missing)
        for frame, image in zip(missing, self._decode(camera, position, missing), strict=True):
            self.cache.put((camera, position, frame), image)
            images[frame] = image
        return np.stack([images[frame] for frame in wanted])

    def _with_stretch(self, camera: str, position: int, newest: int, missing: list[int]) -> list[int]:
        """`missing` and what else its stretch lacks: one pass instead of many seeks."""
        length = self.episodes[position].length
        size = self._stretch_frames(length)
        first = newest // size * size
        before = (self.window_size - 1) * self.history_stride
        stretch = range(max(0, first - before), min(first + size, length))
        return sorted({*missing, *(frame for frame in stretch if (camera, position, frame) not in self.cache)})

    def _decode(self, camera: str, position: int, frames: list[int]) -> list[np.ndarray]:
        key, episode, source = self.camera_keys[camera], self.episodes[position], self.metadata.source
        try:
            if key in episode.videos:
                span = episode.videos[key]
                file = span.file
                rows = self.tables.starts[position] + np.asarray(frames)
                times = span.start + self.tables.columns["timestamp"][rows, 0].astype(np.float64)
                return self._videos.read(source.file(file, episode.index), times.tolist(), self.tolerance_s)
            file = episode.data_file
            rows = [self.tables.file_rows[position] + frame for frame in frames]
            folders = [source.root, source.root / "images" / key / f"episode_{episode.index:06d}"]
            return self._images.read(source.file(file, episode.index), key, rows, folders)
        except (VideoError, ValueError, KeyError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"camera {camera!r}: {error}", source, episode.index, file) from error

    def _choose_cameras(self, cameras: Sequence[str] | None) -> dict[str, str]:
        known = self.metadata.camera_keys
        if cameras is None:
            cameras = list(known) if self.known_embodiment is None else self.known_embodiment.cameras
        unknown = [camera for camera in cameras if camera not in known]
        if unknown:
            raise DatasetError(f"unknown cameras {unknown}, the dataset has {list(known)}", self.metadata.source)
        return {camera: known[camera] for camera in cameras}

    def _choose_episodes(self, episodes: Sequence[int] | None, split: str | None):
        known = self.metadata.episodes
        if split is not None:
            if episodes is not None:
                raise ValueError("give either episodes or split, not both")
            if split not in self.metadata.splits:
                raise DatasetError(f"unknown split {split!r}, there are {self.metadata.splits}", self.metadata.source)
            first, last = self.metadata.splits[split]
            episodes = [index for index in known if first <= index < last]
        chosen = list(known) if episodes is None else list(episodes)
        unknown = [index for index in chosen if index not in known]
        if unknown:
            raise DatasetError(f"unknown episodes {unknown[:5]}, there are {len(known)}", self.metadata.source)
        if not chosen:
            raise DatasetError("no episodes", self.metadata.source, file="meta/episodes")
        return [known[index] for index in chosen]


def _numbered(name: str, width: int) -> list[str]:
    return [f"{name}_{number}" for number in range(width)]
