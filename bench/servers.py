"""The servers that the service's benchmark asks: `redisu serve`, and a no-op that only reads what it is sent."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bench.load import SECRET

_READY_SECONDS: Final = 30.0
_CONFIGURATION: Final = """
[database]
url = "{database}"
[flockjay]
api_base = "{flockjay}"
[routing]
default = "us"
[accounts.us]
stripe_api_base = "{stripe}"
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_crs_101"
prices = {{ usd = 19900 }}
"""

_NOOP: Final = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def post(request):
    await request.body()
    return Response(b"{}", media_type="application/json")
app = Starlette(routes=[Route("/webhooks/stripe/{account}", post, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", ws="none", access_log=False, log_level="warning")
"""


@contextlib.contextmanager
def noop() -> Iterator[int]:
    port = _free_port()
    with _process([sys.executable, "-c", _NOOP, str(port)], port, {}):
        yield port


@contextlib.contextmanager
def serving(
    url: str, folder: Path, stripe: str = "", flockjay: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[tuple[int, float]]:
    """`redisu serve`; yields its port and the seconds that it took to start. Without addresses nobody is there."""
    port, nobody = _free_port(), f"http://127.0.0.1:{_free_port()}"
    path = folder / "redisu.toml"
    path.write_text(_CONFIGURATION.format(database=url, stripe=stripe or nobody, flockjay=flockjay or nobody))
    secrets = {
        "STRIPE_API_KEY_US": "rk_live_bench_key",
        "STRIPE_WEBHOOK_SECRET_US": SECRET,
        "FLOCKJAY_API_KEY": "fj_bench",
        "REDISU_CONFIG": str(path),
        **(environ or {}),
    }
    redisu = str(Path(sys.executable).with_name("redisu"))
    with _process([redisu, "serve", "--port", str(port)], port, secrets):
        pass  # the first start makes the database
    with _process([redisu, "serve", "--port", str(port)], port, secrets) as start:
        yield port, start


@contextlib.contextmanager
def _process(command: list[str], port: int, environ: Mapping[str, str]) -> Iterator[float]:
    """A server until the block ends; yields the seconds until it took a connection."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        try:
            while not _listens(port):
                if child.poll() is not None or time.perf_counter() - began > _READY_SECONDS:
                    log.seek(0)
                    raise RuntimeError(f"it did not start: {log.read().decode()[-2000:]}")
                time.sleep(0.01)
            yield time.perf_counter() - began
        finally:
            child.terminate()
            child.wait(30)


def _listens(port: int) -> bool:
    """Whether the service answers: a listening socket alone takes connections before it can."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status in (200, 404)
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port
