"""`robovlms serve`: a policy behind a websocket, for robots and simulators in other programs and on other machines."""

import asyncio
import logging
import signal
import ssl
from collections.abc import Sequence
from pathlib import Path

import torch

from robovlms.commands import CommandParser
from robovlms.serving.chunk_predictor import ChunkPredictor
from robovlms.serving.limits import ServerLimits
from robovlms.serving.observation_layout import ObservationLayout
from robovlms.serving.server import PolicyServer

LIMITS = ServerLimits()


def make_parser(prog: str) -> CommandParser:
    parser = CommandParser(prog=prog, description=__doc__)
    parser.add_argument("checkpoint", help="folder or Hub id")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reachable from other machines")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one")
    parser.add_argument("--token", default=None, help="secret that clients must send (default: none)")
    parser.add_argument(
        "--tls-certificate", type=Path, default=None, help="PEM file, to serve wss:// (default: ws://)"
    )
    parser.add_argument("--tls-key", type=Path, default=None, help="PEM file of the key (default: the certificate's)")
    parser.add_argument(
        "--embodiment", default=None, help="which contract, where the checkpoint has several (default: its only one)"
    )
    parser.add_argument(
        "--n-action-steps", type=int, default=None, help="actions executed of each chunk (default: the contract's)"
    )
    parser.add_argument(
        "--device", default=None, help="for example cuda:1 (default: cuda where there is one, else cpu)"
    )
    parser.add_argument(
        "--dtype",
        default=None,
        help="dtype of the backbone's weights, for example bfloat16 (default: as saved)",
    )
    parser.add_argument(
        "--threads", type=int, default=None, help="torch's threads on the CPU (default: torch's choice)"
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="INPUT=KEY",
        help="where a camera, 'state' or 'prompt' is in observations, for example static=observation/image; "
        "a state of several keys is written a+b. Repeat for more (default: none)",
    )
    parser.add_argument(
        "--resize",
        choices=("refuse", "stretch", "pad"),
        default="refuse",
        help="what is done with images of another size than the contract's",
    )
    parser.add_argument("--max-clients", type=int, default=LIMITS.max_clients, help="connections at once")
    parser.add_argument("--max-batch", type=int, default=LIMITS.max_batch, help="requests in one forward")
    parser.add_argument(
        "--max-message-mib", type=float, default=LIMITS.max_message_bytes / 2**20, help="largest message"
    )
    parser.add_argument(
        "--idle-seconds", type=float, default=LIMITS.idle_seconds, help="silence after which a connection is closed"
    )
    return parser


def run(prog: str, arguments: Sequence[str]) -> None:
    options = make_parser(prog).parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # every failed handshake would be a traceback
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    limits = ServerLimits(
        max_clients=options.max_clients,
        max_batch=options.max_batch,
        max_message_bytes=int(options.max_message_mib * 2**20),
        idle_seconds=options.idle_seconds,
    )
    table = read_keys(options.key)
    tls = None
    if options.tls_certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.tls_certificate, options.tls_key)
    elif options.tls_key is not None:
        raise ValueError("--tls-key needs --tls-certificate.")
    dtype = {} if options.dtype is None else {"dtype": options.dtype}
    predictor = ChunkPredictor.from_pretrained(options.checkpoint, options.embodiment, options.n_action_steps, **dtype)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    predictor.model.to(device)  # pyright: ignore[reportArgumentType]  (transformers' wrapper of `to` loses its self)
    layout = ObservationLayout.of_contract(predictor.contract, options.resize, limits).with_keys(table)
    server = PolicyServer(predictor, Path(options.checkpoint).name, layout, limits, options.token, tls)
    asyncio.run(serve_until_told(server, options.host, options.port, "wss" if tls else "ws"))


def read_keys(entries: Sequence[str]) -> dict[str, str]:
    """`INPUT=KEY` entries as a table; raises ValueError."""
    table = {}
    for entry in entries:
        name, equals, key = entry.partition("=")
        if not (name and equals and key):
            raise ValueError(f"--key {entry!r}: write INPUT=KEY, for example static=observation/image.")
        table[name] = key
    return table


async def serve_until_told(server: PolicyServer, host: str, port: int, scheme: str) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    await server.start(host, port)
    print(introduce(server, f"{scheme}://{host}:{server.port}"), flush=True)
    if host not in ("127.0.0.1", "localhost", "::1") and not server.needs_token:
        print("Anybody who reaches this machine can use it: choose a --token.", flush=True)
    await told.wait()
    print("stopping", flush=True)
    await server.stop()
    print(f"{server.requests} requests answered, {server.refused} refused, {server.failed} failed", flush=True)


def introduce(server: PolicyServer, address: str) -> str:
    """Return what is served where, and under which keys observations are looked for."""
    contract, layout = server.predictor.contract, server.layout
    rows = [(f"camera {name}", keys) for name, keys in layout.cameras.items()]
    rows += [("state", layout.state)] if layout.state else []
    rows.append(("prompt", layout.prompt))
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [
            f"{server.name or 'policy'} ({contract.embodiment}, contract {contract.hash}) at {address}",
            f"chunks of {contract.chunk_size} actions, {contract.n_action_steps} to execute, at "
            f"{contract.control_frequency:g} Hz; an observation every {server.predictor.observation_interval} steps",
            *(f"  {name:{width}}  {' | '.join(keys)}" for name, keys in rows),
        ]
    )
