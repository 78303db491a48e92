"""A lake in an object store: what tells a missing bucket, a lost answer and a refused key apart."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from lake_places import FEW_RETRIES, FILE, built, one_line
from obstore.exceptions import PreconditionError

from redisu_pipeline.common.problems import ConfigurationError, Failed
from redisu_pipeline.lake import object_storage
from redisu_pipeline.lake.object_storage import ObjectStorage, open_object_storage
from redisu_pipeline.lake.storage import ABSENT, ANY, Conflict, open_storage

pytest_plugins = ("lake_places",)


# --- an object store


def test_a_missing_bucket_is_no_empty_lake(s3_lake: str, tmp_path: Path):
    storage = open_storage("s3://no-such-bucket/redisu")
    for attempt in (
        lambda: storage.read(FILE),
        lambda: storage.tag(FILE),
        lambda: storage.fetch(FILE, tmp_path),
        lambda: storage.list("stripe"),
        lambda: storage.write(FILE, b"x", expect=ABSENT),
        lambda: storage.write(FILE, b"x", expect='"tag"'),
        lambda: storage.copy(FILE, "other"),
        storage.probe,
    ):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert "s3://no-such-bucket/redisu" in one_line(caught.value)
        assert "bucket does not exist" in str(caught.value)


def test_a_store_that_is_not_there_is_named_and_nothing_hangs(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage = open_object_storage(s3_lake, FEW_RETRIES)
    with pytest.raises(Failed) as caught:
        storage.read(FILE)
    assert s3_lake in one_line(caught.value)
    assert "did not answer" in str(caught.value)


@pytest.mark.seaweed
@pytest.mark.long
def test_a_real_server_tells_a_missing_bucket_from_a_missing_file(seaweed_lake: str):
    assert open_storage(seaweed_lake).read(FILE) is None
    with pytest.raises(ConfigurationError, match="bucket does not exist"):
        open_storage("s3://no-such-bucket/redisu").read(FILE)


def test_refused_credentials_are_one_line_without_the_key():
    text = (
        "The operation lacked the necessary privileges: Server returned non-2xx status code: 403 Forbidden: "
        "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>\n\nDebug source: x"
    )
    refusal = object_storage._refusal(PermissionError(text), "s3://b/lake")
    assert isinstance(refusal, ConfigurationError)
    assert "InvalidAccessKeyId" in one_line(refusal)
    assert "AKIASECRET" not in str(refusal)


def test_our_own_write_repeated_after_a_lost_answer_is_no_conflict(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    """The client sends a PUT again when the connection breaks; the second one meets the first one's ETag."""
    storage = open_storage(s3_lake)
    assert isinstance(storage, ObjectStorage)
    real = obstore.put

    def put_twice(*args: object, **named: object) -> object:
        real(*args, **named)
        return real(*args, **named)  # raises: the first has changed the tag

    tag = storage.write(FILE, b"one", expect=ABSENT)
    monkeypatch.setattr(object_storage.obstore, "put", put_twice)
    new = storage.write(FILE, b"two", expect=tag)
    assert storage.read(FILE).data == b"two"
    assert storage.tag(FILE) == new

    def refused(*args: object, **named: object) -> object:
        raise PreconditionError("somebody else was first")

    monkeypatch.setattr(object_storage.obstore, "put", refused)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=new)


def test_a_file_over_the_limit_of_one_upload_is_refused(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(object_storage, "LARGEST_PUT", 3)
    storage = open_storage(s3_lake)
    with pytest.raises(Failed, match="more than one conditional upload takes"):
        storage.publish(FILE, built(storage, b"four"), expect=ANY)
    assert storage.read(FILE) is None


@pytest.mark.parametrize(
    "uri", ["gs://bucket/lake", "abfss://box@account.dfs.core.windows.net/lake"], ids=["gcs", "az"]
)
def test_the_other_clouds_open_without_a_network(uri: str):
    assert open_storage(uri).uri("a/b") == f"{uri}/a/b"
