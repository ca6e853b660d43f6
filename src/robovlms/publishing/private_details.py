"""What must not leave a machine: access tokens, paths, its name."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

TEXTS = (".json", ".md", ".yaml", ".yml", ".txt", ".py", ".jinja", ".jsonl", ".csv")
# Vocabularies hold whatever people write, paths included.
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json")
# The end of an address such as https://host/home/x, and of a relative path, is none.
PATH = re.compile(
    r"(?<![\w:/.~-])(/(?:home|root|Users|mnt|tmp|work|workspace|scratch|gpfs|lustre|nfs|var|private|data|media|srv)/"
    r"[\w.@-][^\s\"'`)\]]*)|(?<!\w)([A-Za-z]:\\{1,2}[\w.]+\\[^\s\"']*)"
)
TOKEN = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9-]{20,}|ghp_[A-Za-z0-9]{20,})\b")
NOT_NAMES = ("localhost", "")


def private_details(text: str) -> Iterator[str]:
    """Yield what a text gives away, in words; tokens are named by their first letters only."""
    for match in TOKEN.finditer(text):
        yield f"an access token ({match[0][:5]}...)"
    for match in PATH.finditer(text):
        yield f"a path of a machine ({match[0]})"
    host = socket.gethostname()
    if len(host) > 4 and host not in NOT_NAMES and re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", text):
        yield f"this machine's name ({host})"


def find_private_details_of(name: str, content: str | bytes) -> list[str]:
    """Return what a file gives away, if it is a text; `content` is its path, or what is in it."""
    if not name.endswith(TEXTS) or Path(name).name in VOCABULARIES:
        return []
    raw = content if isinstance(content, bytes) else Path(content).read_bytes()
    return list(dict.fromkeys(private_details(raw.decode("utf-8", errors="replace"))))
