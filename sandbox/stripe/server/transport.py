"""Breaking connections on purpose, which needs the socket below HTTP."""

import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

EXTENSION = "sandbox.transport"
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


class BreakableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, showing its transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}


async def break_off(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    way: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    """End the connection without a whole answer: `reset` sends nothing, `truncate` less than it promised."""
    transport = scope["extensions"][EXTENSION]["transport"]
    if way == "reset":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        transport.abort()
    else:
        head = STATUS_LINE[200] + b"".join(b"%b: %b\r\n" % header for header in headers)
        transport.write(head + b"\r\n" + body[: len(body) // 2])
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
