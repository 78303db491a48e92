"""Files at Stripe: read from their own host with the account's key, straight to disk however large they are."""

from pathlib import Path

import httpx

from redisu_pipeline.common.stripe_api import API_VERSION, NotThere, Refused, Transient

TIMEOUT_SECONDS = httpx.Timeout(60, connect=10)
CHUNK = 1 << 20


class StripeFiles:
    """One account's files. Threads may share it; its repr holds no key."""

    def __init__(self, key: str, files_base: str) -> None:
        self._headers = {"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION}
        self._base = files_base.rstrip("/")

    def download(self, file_id: str, target: Path) -> int:
        """Write the file's content to ``target`` and return its length in bytes.

        Raises Transient (broken off, 429, 5xx), NotThere (unknown or expired) or Refused. Nothing is followed: a
        redirect would carry the key to another host.
        """
        url = f"{self._base}/v1/files/{file_id}/contents"
        try:
            with (
                httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client,
                client.stream("GET", url, headers=self._headers) as answer,
            ):
                _judge(answer.status_code)
                with target.open("wb") as out:
                    for chunk in answer.iter_bytes(CHUNK):
                        out.write(chunk)
                    return out.tell()
        except httpx.HTTPError as error:
            raise Transient(f"no answer ({type(error).__name__})") from None


def _judge(status: int) -> None:
    if status == 200:
        return
    if status == 404:
        raise NotThere("resource_missing")
    if status == 429 or status == 409 or status >= 500:
        raise Transient(f"HTTP {status}", limited=status == 429)
    raise Refused(status, "", "the file host refused the file")
