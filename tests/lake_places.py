"""Places for a lake: a folder, S3 by moto, and a real S3 server; and verbs to write there."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.lake.storage import Storage, open_storage

pytest_plugins = ("stores",)


FILE = "stripe/invoices/account=us/month=2026-10/data.parquet"
FEW_RETRIES = {"max_retries": 1, "retry_timeout": timedelta(seconds=2)}
REAL_S3 = pytest.param("seaweed_lake", marks=[pytest.mark.seaweed, pytest.mark.long])


@pytest.fixture(params=["folder", "s3_lake", REAL_S3])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue(request.param)


@pytest.fixture
def storage(uri: str) -> Storage:
    return open_storage(uri)


def built(storage: Storage, data: bytes) -> Path:
    file = storage.scratch() / f"build-{os.urandom(4).hex()}"
    file.write_bytes(data)
    return file


def one_line(refusal: Refusal) -> str:
    (problem,) = refusal.problems
    assert problem.mend
    assert "\n" not in str(refusal)
    return str(refusal)
