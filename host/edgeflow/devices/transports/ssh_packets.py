"""Keeps paramiko from speaking on a channel that it has closed, for which OpenSSH ends the whole connection.

paramiko makes a message under the channel's lock and sends it after it let go of the lock, so the answer to
the peer's CLOSE can overtake data or EOF that another thread is about to send ("ieof packet referred to
nonexistent channel"). Here, where messages are sent one after another, what comes too late is dropped.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

# RFC 4254, section 9
_OPEN_CONFIRMATION, _WINDOW_ADJUST, _DATA, _EXTENDED_DATA, _EOF, _CLOSE, _REQUEST = 91, 93, 94, 95, 96, 97, 98
_ON_A_CHANNEL = frozenset((_WINDOW_ADJUST, _DATA, _EXTENDED_DATA, _EOF, _CLOSE, _REQUEST))


@cache
def ordered_packetizer() -> Any:
    """The packetizer class for paramiko.Transport."""
    from paramiko.packet import Packetizer

    class OrderedPacketizer(Packetizer):  # type: ignore[misc]
        def __init__(self, socket: Any) -> None:
            super().__init__(socket)
            self._order = threading.Lock()
            self._closed_ids: set[bytes] = set()

        def send_message(self, data: Any) -> None:
            head = data.asbytes()[:5]
            if head[0] not in _ON_A_CHANNEL:
                super().send_message(data)
                return
            with self._order:
                if head[1:] in self._closed_ids:
                    return
                if head[0] == _CLOSE:
                    self._closed_ids.add(head[1:])
                super().send_message(data)

        def read_message(self) -> tuple[int, Any]:
            kind, message = super().read_message()
            if kind == _OPEN_CONFIRMATION:
                message.get_int()
                # The peer gives the numbers of closed channels to new ones.
                self._closed_ids.discard(message.get_bytes(4))
                message.rewind()
            return kind, message

    return OrderedPacketizer
