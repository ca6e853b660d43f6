"""At which time of its video each row's picture stands: also where clocks jitter, drift, or do not begin at 0."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from .errors import DatasetError
from .lerobot_metadata import Episode, LeRobotMetadata
from .video import EXACT, VideoError, frame_times, has_even_pictures


class PictureTimes:
    """Times of rows' pictures in their videos.

    Where rows stand at frame / fps and the video's pictures, too, the picture of a row is the one at the row's time. Else
    the video's pictures are numbered: a file with exactly as many pictures as its episodes have frames shows them in
    that order; in any other each row takes the nearest picture, where the file's pictures begin no later than its first
    episode, no two rows share one and none is the next episode's.

    Args:
        metadata, episodes: the chosen episodes, `starts` being the table rows where each begins.
        timestamps: of all rows (s).
        tolerance: how far a picture may be from its row's timestamp (s), once both count from the episode's first one.
    """

    def __init__(
        self,
        metadata: LeRobotMetadata,
        episodes: Sequence[Episode],
        starts: np.ndarray,
        timestamps: np.ndarray,
        tolerance: float,
    ):
        self.metadata, self.episodes, self.tolerance = metadata, episodes, tolerance
        self._timestamps = [timestamps[starts[i] : starts[i + 1]].astype(np.float64) for i in range(len(episodes))]
        self._is_even: dict[str, bool] = {}
        self._odd: dict[tuple[int, str], np.ndarray] = {}  # picture times of what is not even

    def check(self, keys: Sequence[str]) -> None:
        """Looks at the videos of these features (those of a Hub dataset that are here) before anybody needs them.

        Raises DatasetError where a file is missing or unreadable, or a row has no picture of its own.
        """
        videos = [(i, key) for i in range(len(self.episodes)) for key in keys]
        for position, key in tqdm(videos, desc="checking videos", delay=2):
            episode, source = self.episodes[position], self.metadata.source
            if key not in episode.videos:
                raise DatasetError(
                    f"has no video of {key!r}: choose other `cameras`, or other `episodes`", source, episode.index
                )
            file = episode.videos[key].file
            if file in self._is_even and self._is_even[file] and self._is_regular(position):
                continue
            if not source.is_local and not (source.root / file).exists():
                continue  # downloaded and looked at when it is needed
            try:
                self.of(position, key, np.arange(1))
            except VideoError as error:
                raise DatasetError(f"{key!r}: {error}", source, episode.index, file) from error

    def of(self, position: int, key: str, frames: np.ndarray) -> np.ndarray:
        """Times (s) of the pictures of rows `frames` of the `position`-th chosen episode, ascending as the frames.

        Raises VideoError where a row has no picture of its own; DatasetError where the file is missing.
        """
        episode = self.episodes[position]
        span = episode.videos[key]
        if span.file not in self._is_even:
            path = self.metadata.source.file(span.file, episode.index)
            self._is_even[span.file] = has_even_pictures(path, self.metadata.fps)
        if self._is_even[span.file] and self._is_regular(position):
            return span.start + self._timestamps[position][frames]
        if (position, key) not in self._odd:
            self._odd[position, key] = self._match(position, key)
        return self._odd[position, key][frames]

    def _is_regular(self, position: int) -> bool:
        times = self._timestamps[position]
        return bool((np.abs(times - np.arange(len(times)) / self.metadata.fps) <= EXACT + 1e-6 * times).all())

    def _match(self, position: int, key: str) -> np.ndarray:
        episode, rows = self.episodes[position], self._timestamps[position]
        span = episode.videos[key]
        there = frame_times(self.metadata.source.file(span.file, episode.index))
        nearest, distance = _nearest(there, span.start + rows)
        in_file = [other for other in self.metadata.episodes.values() if key in other.videos]
        in_file = [other for other in in_file if other.videos[key].file == span.file]
        frames = sum(other.length for other in in_file)
        starts = [other.videos[key].start for other in in_file]
        are_its_own = len(there) > 0 and there[0] <= min(starts) + EXACT  # else the file's clock begins elsewhere
        are_its_own &= bool((nearest < min((s for s in starts if s > span.start), default=np.inf) - EXACT).all())
        if are_its_own and self._is_regular(position) and (distance <= EXACT).all():
            return nearest
        if len(there) == frames:
            first = sum(other.length for other in in_file if other.videos[key].start < span.start)
            pictures = there[first : first + episode.length]
            worst = float(np.abs((pictures - pictures[0]) - (rows - rows[0])).max())
            if worst <= self.tolerance:
                return pictures
            raise VideoError(
                f"pictures are up to {worst:.4f} s from their rows' timestamps, and tolerance_s is {self.tolerance}"
            )
        if are_its_own and (distance <= self.tolerance).all() and (np.diff(nearest) > 0).all():
            return nearest
        raise VideoError(
            f"the video has {len(there)} pictures from {there[0] if len(there) else 0:.4f} s on for {frames} frames, "
            f"and no frame within {self.tolerance} s of row {int(np.argmax(distance))}'s time "
            f"(off by {distance.max():.4f} s): pictures are missing, or the clocks differ"
        )


def _nearest(there: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value of `there` (ascending) nearest to each wanted one, and how far it is."""
    if not len(there):
        return wanted, np.full(len(wanted), np.inf)
    after = np.searchsorted(there, wanted).clip(0, len(there) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(there[after] - wanted) < np.abs(there[before] - wanted), there[after], there[before])
    return nearest, np.abs(nearest - wanted)
