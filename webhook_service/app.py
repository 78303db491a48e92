"""The ASGI application: routes, headers, and what starts and stops with it."""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.settings import Settings
from webhook_service import health, pages
from webhook_service.database import Database
from webhook_service.headers import SafeHeaders
from webhook_service.services import Services, logger, open_services
from webhook_service.sweep_clock import Hurry
from webhook_service.webhook import PREFIX, Webhooks
from webhook_service.worker import Worker


def create_app(settings: Settings, environ: Mapping[str, str]) -> ASGIApp:
    """The service. Raises ConfigurationError for all that is missing, Failed when another process serves."""
    services = open_services(settings, environ)
    lock = serve_alone(services.database)
    return application(services, lock)


def application(services: Services, lock: IO[str] | None = None) -> ASGIApp:
    """The service over services that are open already; it closes them when it stops."""
    hurry = Hurry()
    worker = Worker(services, hurry)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(worker.start)
        logger(__name__).info("serving", accounts=sorted(services.stripe))
        try:
            yield
        finally:
            await run_in_threadpool(worker.stop)
            await run_in_threadpool(services.close)
            if lock is not None:
                lock.close()

    app = Starlette(
        routes=[
            Route(PREFIX + "{account}", _unreachable, methods=["POST"]),  # says 405 to other methods
            *health.routes(services),
            *pages.routes(services),
        ],
        middleware=[Middleware(SafeHeaders)],
        lifespan=lifespan,
    )
    # A path is right or it is 404: Starlette would answer a slash too many with a redirect to the Host it was told.
    app.router.redirect_slashes = False
    return Webhooks(app, services, hurry)


async def _unreachable(_request: Request) -> Response:
    return Response(status_code=404)


def serve_alone(database: Database) -> IO[str] | None:
    """Hold SQLite's lock file while serving; it is let go with the process. Raises Failed when it is held."""
    if database.is_shared:
        return None
    path = Path(f"{database.engine.url.database}.serving")
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        database.close()
        mend = "stop the other redisu serve, or use PostgreSQL for several processes"
        raise Failed(Problem("already_serving", str(path), "another process serves from this database", mend)) from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
