"""Finished episodes on disk, so that an interrupted evaluation goes on where it was."""

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from time import monotonic
from typing import Any

from .films import read_film, write_film
from .rollout import Episode, EpisodeResult

FILE, FILMS = "episodes.jsonl", "films"


class Journal:
    """`episodes.jsonl` in a folder, a line per finished episode after a first one with the protocol; films in `films/`.

    An episode is known by its part ("policy", a control, a setting, "chains"), seed and task, so a later run may have
    more episodes.

    Args:
        folder: made if it isn't there.
        protocol: what decides about results, as plain JSON types; an evaluation with another one can't go on here.
        restart: forget what is there.
        retry_crashed: run episodes again that failed because their environment did.

    Raises:
        ValueError: the folder holds episodes of another protocol; the message names what differs.
    """

    def __init__(
        self, folder: str | Path, protocol: dict[str, Any], restart: bool = False, retry_crashed: bool = False
    ):
        self.folder = Path(folder)
        self.file = self.folder / FILE
        if restart:
            self.file.unlink(missing_ok=True)
            shutil.rmtree(self.folder / FILMS, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        protocol = json.loads(json.dumps(protocol))
        lines = _complete_lines(self.file) or [{"protocol": protocol}]
        _require_same(lines[0]["protocol"], protocol, self.file)
        self.results: dict[tuple[str, int, str], EpisodeResult] = {}
        for line in lines[1:]:
            if line["result"]["crashed"] and retry_crashed:
                continue
            self.results[line["part"], line["seed"], line["task"]] = self._result(line["result"])
        self.minutes_before = lines[-1].get("minutes", 0.0)
        self.start = monotonic()
        # A line that was being written when the run was killed is left out; nothing else is lost if this is killed, too.
        rewritten = self.file.with_suffix(".tmp")
        rewritten.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        rewritten.replace(self.file)

    @property
    def minutes(self) -> float:
        """Wall time of this run and of those that it goes on from."""
        return self.minutes_before + (monotonic() - self.start) / 60

    def finished(self, part: str, episodes: list[Episode]) -> dict[int, EpisodeResult]:
        """Index -> result of those episodes that need no run."""
        keys = {index: (part, episode.seed, episode.task) for index, episode in enumerate(episodes)}
        return {index: self.results[key] for index, key in keys.items() if key in self.results}

    def add(self, part: str, episode: Episode, result: EpisodeResult) -> None:
        """Note an episode that has ended, and write its film."""
        entry = {field.name: getattr(result, field.name) for field in fields(result) if field.name != "frames"}
        entry["film"] = None
        if result.frames:
            entry["film"] = film_name(part, result)
            (self.folder / FILMS).mkdir(exist_ok=True)
            write_film(result.frames, self.folder / FILMS / entry["film"])
        line = {"part": part, "seed": episode.seed, "task": episode.task, "minutes": self.minutes, "result": entry}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _result(self, entry: dict[str, Any]) -> EpisodeResult:
        return _as_result(entry, read_film(self.folder / FILMS / entry["film"]) if entry["film"] else [])


def read_results(file: Path) -> tuple[dict[str, Any], dict[str, list[EpisodeResult]], float]:
    """Return what a journal's file holds: its first line, the results of each part in the order of their ends, and the
    minutes that they took."""
    first, *lines = _complete_lines(file)
    parts: dict[str, list[EpisodeResult]] = {}
    for line in lines:
        parts.setdefault(line["part"], []).append(_as_result(line["result"], []))
    return first, parts, lines[-1]["minutes"] if lines else 0.0


def _as_result(entry: dict[str, Any], frames: list[Any]) -> EpisodeResult:
    known: dict[str, Any] = {name: value for name, value in entry.items() if name != "film"}
    return EpisodeResult(**(known | {"chain": tuple(entry["chain"]), "frames": frames}))


def film_name(part: str, result: EpisodeResult) -> str:
    """Return the file of an episode's film."""
    outcome = "success" if result.success else "failure"
    return re.sub(r"\W+", "-", f"{part}-{result.task}-{result.seed}-{outcome}") + ".mp4"


def _complete_lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    *lines, _ = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]


def _require_same(known: dict[str, Any], asked: dict[str, Any], file: Path) -> None:
    differing = [name for name in {**known, **asked} if known.get(name) != asked.get(name)]
    if differing:
        what = "; ".join(f"{name} was {known.get(name)!r} and is {asked.get(name)!r}" for name in differing)
        raise ValueError(
            f"{file.name} in {file.parent} holds episodes of another evaluation: {what}. Choose another output folder, or "
            "start again from nothing (restart)."
        )
