"""What the server needs of the world behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from sandbox.stripe.store import Object, Store


class World(Protocol):
    """`sandbox.stripe.world.World`, or a small hand-made one in tests."""

    @property
    def now(self) -> int:
        """Unix seconds that the world has reached."""

    @property
    def stores(self) -> Mapping[str, Store]: ...

    def advance(self, to: datetime) -> None:
        """Move time forward; everything scheduled until then happens."""

    def truth(self, account: str, month: str) -> Mapping[str, Any]: ...

    def tax_rows(self, account: str) -> list[Object]:
        """Rows of Stripe's itemized tax report."""

    def act(self, account: str, action: str, **arguments: Any) -> Any:
        """Let one thing happen (`world.actions.ACTIONS`), or ValueError; answers the object made or changed."""
