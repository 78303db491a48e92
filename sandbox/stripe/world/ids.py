"""Ids like Stripe's: a prefix and 24 characters, the same for the same seed."""

from base64 import b64encode
from random import Random

_LETTERS = bytes.maketrans(b"+/", b"rU")  # of base64's alphabet to letters and digits only
_LENGTH = {"cus": 14, "prod": 14, "cs_live": 58, "cs_test": 58}


class Ids:
    """A stream of ids of its own, so that events (which the store numbers) never shift the objects' ids."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def new(self, prefix: str) -> str:
        length = _LENGTH.get(prefix, 24)
        lead = "a1" if length == 58 else "1"
        body = b64encode(self._random.randbytes(length)).translate(_LETTERS).decode()
        return f"{prefix}_{lead}{body[: length - len(lead)]}"
