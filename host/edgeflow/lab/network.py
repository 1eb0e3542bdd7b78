"""The network link of a lab device: an interface edgelabN of this machine, and 10.77.N.0/30 on it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.lab.commands import LabError, run
from edgeflow.lab.guests import Guest

_IP_S = 10.0
_SUBNETS = range(11, 250)
_PREFIX = "edgelab"

LinkKind = Literal["veth", "tap"]


@dataclass(frozen=True, slots=True)
class Link:
    """This machine's end, by its number. `peer` is the other end of a pair, to be given to the device."""

    number: int

    @property
    def name(self) -> str:
        return f"{_PREFIX}{self.number}"

    @property
    def peer(self) -> str:
        return f"{self.name}p"

    @property
    def gateway(self) -> str:
        return f"10.77.{self.number}.1"

    @property
    def address(self) -> str:
        return f"10.77.{self.number}.2"


def new_link(device: str, kind: LinkKind) -> Link:
    """An interface on the first free subnet: making it is what reserves the subnet. Raises LabError."""
    for number in _SUBNETS:
        link = Link(number)
        if Path("/sys/class/net", link.name).exists():
            continue
        try:
            if kind == "tap":
                ip(f"tuntap add dev {link.name} mode tap")
            else:
                ip(f"link add {link.name} type veth peer name {link.peer}")
        except LabError as error:
            if "File exists" not in error.detail and "resource busy" not in error.detail:
                raise
        else:
            return link
    raise LabError(f"{device}: no network link could be made", hint="see `ip link`: edgelab11 to edgelab249")


def bring_up(link: Link) -> None:
    """Gives this machine's end its address. Raises LabError."""
    ip(f"addr add {link.gateway}/30 dev {link.name}")
    ip(f"link set {link.name} up")
    # When the link is down, packets must get lost, not leave by this machine's default route.
    ip(f"route replace unreachable 10.77.{link.number}.0/30 metric 4278198272")


def remove(name: str) -> None:
    """Takes the link away, and its route; nothing where there is none."""
    number = name.removeprefix(_PREFIX)
    for words in (f"link del {name}", f"route del unreachable 10.77.{number}.0/30"):
        with contextlib.suppress(LabError):  # a pair's end goes with the namespace that it is in
            ip(words)


def link_of(guest: Guest) -> Link:
    """The link of a guest, by the name that its record has."""
    return Link(int(guest.link.removeprefix(_PREFIX)))


def set_link(guest: Guest, *, up: bool) -> None:
    """Plugs the device's network cable in or out. Raises LabError."""
    ip(f"link set {guest.link} {'up' if up else 'down'}")


def ip(words: str) -> None:
    """One command of ip(8). Raises LabError."""
    run(["ip", *words.split()], f"ip {words}", timeout_s=_IP_S)
