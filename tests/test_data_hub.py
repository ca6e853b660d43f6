"""Datasets by Hub id, from a server that speaks the few requests that huggingface_hub makes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from robovlms.data import DatasetError, LeRobotDataset, LeRobotWriter

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/demonstrations"


class Hub(BaseHTTPRequestHandler):
    folder: Path
    served: list[str]

    def do_GET(self):
        api = f"/api/datasets/{REPOSITORY}"
        path = self.path.split("?")[0]
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = [file.relative_to(self.folder).as_posix() for file in files]
        if path.startswith(f"{api}/revision/"):
            siblings = [{"rfilename": name} for name in names]
            return self.reply(json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode())
        if path.startswith(f"{api}/tree/"):
            sizes = zip(files, names, strict=True)
            entries = [{"type": "file", "path": n, "size": f.stat().st_size, "oid": "0" * 40} for f, n in sizes]
            return self.reply(json.dumps(entries).encode())
        prefix = f"/datasets/{REPOSITORY}/resolve/"
        name = path.removeprefix(prefix).split("/", 1)[-1]
        if path.startswith(prefix) and name in names:
            if self.command == "GET":
                self.served.append(name)
            return self.reply((self.folder / name).read_bytes(), etag=f'"{abs(hash(name))}"')
        error = "EntryNotFound" if path.startswith(prefix) else "RepoNotFound"
        return self.reply(b"{}", 404, error=error)

    do_HEAD = do_GET

    def reply(self, body: bytes, status: int = 200, etag: str | None = None, error: str | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": len(body), "X-Repo-Commit": COMMIT, "ETag": etag, "X-Error-Code": error}
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with LeRobotWriter(tmp_path / "set", 10, "arm", video_mb=0.0001) as writer:
        for _ in range(2):
            images = np.zeros((6, 64, 64, 3), np.uint8)
            writer.add_episode({"images": {"static": images}, "action": np.ones((6, 2))}, "go")
    Hub.folder, Hub.served = tmp_path / "set", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
    template = template.replace(huggingface_hub.constants.ENDPOINT, endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield Hub
    server.shutdown()


def test_hub_id_downloads_what_is_needed_when_it_is_needed(hub):
    dataset = LeRobotDataset(REPOSITORY, window_size=2, chunk_size=2, episodes=[1])
    assert dataset.origin == f"{REPOSITORY}@{COMMIT}" and len(dataset) == 6
    assert not any(name.endswith(".mp4") for name in hub.served)
    assert [name for name in hub.served if name.startswith("data/")] == ["data/chunk-000/file-001.parquet"]
    assert dataset[3]["images"]["static"].shape == (2, 64, 64, 3)
    videos = [name for name in hub.served if name.endswith(".mp4")]
    assert videos == ["videos/observation.images.static/chunk-000/file-001.mp4"]
    before = len(hub.served)
    LeRobotDataset(REPOSITORY, window_size=2, chunk_size=2, episodes=[1])[3]
    assert len(hub.served) == before  # cached


def test_hub_errors_name_the_dataset(hub):
    with pytest.raises(DatasetError, match=r"(?s)neither a local folder nor a Hub dataset.*someone/else"):
        LeRobotDataset("someone/else")
    with pytest.raises(DatasetError, match="neither a local folder"):
        LeRobotDataset("no/such/folder")
    (hub.folder / "videos/observation.images.static/chunk-000/file-000.mp4").unlink()
    dataset = LeRobotDataset(REPOSITORY)
    with pytest.raises(DatasetError, match=r"missing file.*someone/demonstrations.*episode 0.*file-000\.mp4"):
        dataset[0]


def test_a_lost_connection_is_not_a_missing_file(hub, monkeypatch):
    dataset = LeRobotDataset(REPOSITORY)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetError, match=r"cannot be downloaded.*someone/demonstrations.*file-000\.mp4"):
        dataset[0]
