"""A Hub on 127.0.0.1 for tests: repositories with commits, branches, private ones with tokens, large files apart.

It answers what huggingface_hub asks for pushing and loading, from memory. Use it as a context manager and give
`environment()` to a process.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub import ModelCard
from yaml import YAMLError

TOKEN = "hf_" + "t" * 34
LARGE = (".safetensors", ".mp4", ".gif", ".png", ".parquet")


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, str]] = field(default_factory=dict)  # commit -> path -> SHA-256 of the content
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> str | None:
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


class LocalHub:
    """The server's state. `log` lists (method, path) of all requests; `hold` lets uploads of large files wait."""

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.contents: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self.hold_after: int | None = None  # uploads of large files that go through before the rest hang
        self.lock = threading.Lock()
        self.held = threading.Event()
        self.released = threading.Event()
        self.uploads: list[str] = []

    def __enter__(self):
        handler = type("Handler", (Requests,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """Variables of a process whose Hub this is, set before it imports huggingface_hub."""
        variables = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        variables |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return variables | ({"HF_TOKEN": token} if token else {})

    def files(self, repo_id: str, kind: str = "models", revision: str = "main") -> dict[str, bytes]:
        repository = self.repositories[kind, repo_id]
        return {path: self.contents[sha] for path, sha in repository.commits[repository.resolve(revision)].items()}


class Requests(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.route("GET")

    def do_HEAD(self):
        self.route("HEAD")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    def route(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self.body = self.read_chunks()
        else:
            self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        self.query, path = parse_qs(url.query), unquote(url.path)
        self.hub.log.append((method, path))
        for wanted, pattern, answer in ROUTES:
            if method in wanted and (match := re.fullmatch(pattern, path)):
                return answer(self, **match.groupdict())
        self.reply(404, {"error": f"no route for {method} {path}"})

    def read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, status: int, content=None, **headers) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": len(body), "Content-Type": "application/json"} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def knows_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, kind: str, repo: str) -> Repository | None:
        """The repository, if the caller may know of it."""
        found = self.hub.repositories.get((kind or "models", repo))
        if found is None or (found.private and not self.knows_token):
            self.reply(401 if not self.knows_token else 404, {"error": "not found"}, X_Error_Code="RepoNotFound")
            return None
        return found

    def revision(self, kind: str, repo: str, revision: str) -> tuple[Repository, str] | None:
        found = self.repository(kind, repo)
        if found is None:
            return None
        commit = found.resolve(revision)
        if commit is None:
            self.reply(404, {"error": f"no revision {revision}"}, X_Error_Code="RevisionNotFound")
            return None
        return found, commit

    def may_write(self) -> bool:
        if not self.knows_token:
            self.reply(401, {"error": "Invalid username or password."})
        return self.knows_token

    def create(self) -> None:
        if not self.may_write():
            return
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        kind = {"dataset": "datasets"}.get(asked.get("type"), "models")
        prefix = "" if kind == "models" else f"{kind}/"
        exists = (kind, name) in self.hub.repositories
        if not exists:
            repository = self.hub.repositories[kind, name] = Repository(
                private=bool(asked.get("private")) or asked.get("visibility") == "private"
            )
            self.commit_files(repository, "main", {}, "initial commit")
        answer = {"url": f"{self.hub.url}/{prefix}{name}", "name": name, "id": name}
        self.reply(409 if exists else 200, answer)

    def commit_files(self, repository: Repository, branch: str, files: dict[str, str], message: str) -> str:
        previous = repository.branches.get(branch, "")
        commit = hashlib.sha1(json.dumps([previous, sorted(files.items()), message]).encode()).hexdigest()
        repository.commits[commit] = files
        repository.branches[branch] = commit
        repository.messages.append(message)
        return commit

    def preupload(self, kind: str, repo: str, revision: str) -> None:
        if not self.may_write() or self.revision(kind, repo, revision) is None:
            return
        files = json.loads(self.body)["files"]
        modes = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for one in files
        ]
        self.reply(200, {"files": modes})

    def lfs_batch(self, repo: str, kind: str | None = None) -> None:
        if not self.may_write():
            return
        objects = []
        for one in json.loads(self.body)["objects"]:
            answer = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.contents:
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/upload/{one['oid']}", "header": {}}}
            objects.append(answer)
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self.reply(200, answer, Content_Type="application/vnd.git-lfs+json")

    def upload(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        with self.hub.lock:
            held = self.hub.hold_after is not None and len(self.hub.uploads) >= self.hub.hold_after
            if not held:
                self.hub.contents[oid] = self.body
                self.hub.uploads.append(oid)
        if held:
            self.hub.held.set()
            self.hub.released.wait()
            return
        self.reply(200, {})

    def commit(self, kind: str, repo: str, revision: str) -> None:
        if not self.may_write():
            return
        found = self.revision(kind, repo, revision)
        if found is None:
            return
        repository, parent = found
        files, message = dict(repository.commits[parent]), ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                content = base64.b64decode(value["content"])
                sha = hashlib.sha256(content).hexdigest()
                self.hub.contents[sha] = content
                files[value["path"]] = sha
            elif entry["key"] == "lfsFile":
                files[value["path"]] = value["oid"]
            elif entry["key"] == "deletedFile":
                files.pop(value["path"], None)
        commit = self.commit_files(repository, revision, files, message)
        url = f"{self.hub.url}/{repo}/commit/{commit}"
        self.reply(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def branch(self, kind: str, repo: str, revision: str) -> None:
        found = self.repository(kind, repo) if self.may_write() else None
        if found is not None:
            exists = revision in found.branches
            found.branches.setdefault(revision, found.branches["main"])
            self.reply(409 if exists else 200, {})

    def info(self, kind: str, repo: str, revision: str = "main") -> None:
        found = self.revision(kind, repo, revision)
        if found is None:
            return
        repository, commit = found
        siblings = [{"rfilename": path} for path in repository.commits[commit]]
        self.reply(
            200, {"id": repo, "modelId": repo, "sha": commit, "private": repository.private, "siblings": siblings}
        )

    def tree(self, kind: str, repo: str, revision: str, folder: str = "") -> None:
        found = self.revision(kind, repo, revision)
        if found is None:
            return
        repository, commit = found
        files = repository.commits[commit]
        entries = [
            {"type": "file", "path": path, "size": len(self.hub.contents[sha]), "oid": sha[:40]}
            for path, sha in files.items()
            if not folder or path.startswith(folder + "/")
        ]
        if folder and not entries:
            return self.reply(404, {"error": "no such folder"}, X_Error_Code="EntryNotFound")
        self.reply(200, entries)

    def resolve(self, repo: str, revision: str, path: str, kind: str | None = None) -> None:
        found = self.revision(kind, repo, revision)
        if found is None:
            return
        repository, commit = found
        sha = repository.commits[commit].get(path)
        if sha is None:
            return self.reply(404, {"error": "no such file"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        self.reply(200, self.hub.contents[sha], X_Repo_Commit=commit, ETag=f'"{sha}"')

    def validate_yaml(self) -> None:
        """A card's metadata must be a mapping that huggingface_hub reads back, results included."""
        try:
            found = ModelCard(json.loads(self.body)["content"]).data.to_dict()
            errors = [] if found.get("pipeline_tag", "robotics") == "robotics" else ["pipeline_tag"]
        except (ValueError, TypeError, YAMLError) as error:
            errors = [str(error)]
        self.reply(400 if errors else 200, {"errors": [{"message": error} for error in errors], "warnings": []})

    def whoami(self) -> None:
        if self.may_write():
            self.reply(200, {"name": "me", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def log_message(self, *arguments):
        pass


API = r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+)"
ROUTES = [
    ("POST", r"/api/repos/create", Requests.create),
    ("POST", r"/api/validate-yaml", Requests.validate_yaml),
    ("GET", r"/api/whoami-v2", Requests.whoami),
    ("POST", API + r"/preupload/(?P<revision>[^/]+)", Requests.preupload),
    ("POST", API + r"/commit/(?P<revision>[^/]+)", Requests.commit),
    ("POST", API + r"/branch/(?P<revision>[^/]+)", Requests.branch),
    ("GET", API, Requests.info),
    ("GET", API + r"/revision/(?P<revision>[^/]+)", Requests.info),
    ("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", Requests.tree),
    ("POST", r"/(?:(?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Requests.lfs_batch),
    ("PUT", r"/upload/(?P<oid>[0-9a-f]{64})", Requests.upload),
    (
        ("GET", "HEAD"),
        r"/(?:(?P<kind>datasets)/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        Requests.resolve,
    ),
]
