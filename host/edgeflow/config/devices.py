"""devices.yaml: the devices a user has, and how to reach them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgeflow.config.suggest import did_you_mean, nearest
from edgeflow.config.validation import Name, checked_name, key_error
from edgeflow.config.yaml_source import YamlDocument, load_yaml
from edgeflow.errors import UsageError

DEVICES_NAME = "devices.yaml"
LOCAL = "local"
ALL = "all"
TAG_PREFIX = "tag:"
LAB_PREFIX = "lab-"

RUNTIMES = ("ncnn", "mnn", "tflite", "paddlelite", "snpe", "onnxruntime", "openvino", "null")
"""Every runtime name that a device may be limited to; `null` does nothing and measures overhead."""

KEYS_OF_TRANSPORT: Mapping[str, frozenset[str]] = {
    "local": frozenset(),
    "ssh": frozenset({"address", "user", "key", "port", "known_hosts"}),
    "adb": frozenset({"address", "serial"}),
}
"""The keys that only make sense for one transport or two; every other key is for all."""

AgentKind = Literal["auto", "native", "python"]
"""Which agent runs on a device; `auto` is decided by agentlink.choice."""

_BOUND_KEYS = ("address", "serial", "user", "key", "port", "known_hosts")


class _Settings(BaseModel):
    """What `defaults` and a device have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tags: tuple[Name, ...] = ()
    runtimes: tuple[str, ...] = ()
    work_dir: str | None = None
    python: str | None = None
    agent: AgentKind | None = None
    threads: Annotated[int, Field(strict=True, gt=0)] | None = None
    governor: Annotated[str, Field(pattern=r"^[a-z_]{1,15}$")] | None = None

    @field_validator("key", "known_hosts")
    @classmethod
    def _expand_home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @model_validator(mode="after")
    def _known_runtimes(self) -> Self:
        for index, name in enumerate(self.runtimes):
            if name not in RUNTIMES:
                raise key_error(
                    f"unknown runtime '{name}'; {did_you_mean(name, RUNTIMES)}", "runtimes", index
                )
        return self

    @model_validator(mode="after")
    def _work_dir_is_absolute(self) -> Self:
        if self.work_dir is not None and not self.work_dir.startswith(("/", "~/")):
            raise key_error(f"expected a path from / or ~/, got '{self.work_dir}'", "work_dir")
        return self


class DeviceSpec(_Settings):
    """One device. None means that the transport decides; an empty `runtimes` means all of them."""

    name: Name
    transport: Literal["local", "ssh", "adb"]
    address: str | None = None
    serial: str | None = None
    description: str = ""

    @property
    def is_any_phone(self) -> bool:
        """Whether it stands for the one phone that is connected, whichever that is."""
        return self.transport == "adb" and self.serial is None and self.address is None

    @model_validator(mode="after")
    def _fits_transport(self) -> Self:
        for key in _BOUND_KEYS:
            if getattr(self, key) is not None and key not in KEYS_OF_TRANSPORT[self.transport]:
                users = [name for name, keys in KEYS_OF_TRANSPORT.items() if key in keys]
                raise key_error(f"only for transport {' or '.join(users)}, not {self.transport}", key)
        if self.name == LOCAL and self.transport != "local":
            raise key_error("'local' is this machine; give the device another name", "transport")
        if self.name == ALL:
            raise key_error("'all' stands for every device; give this one another name")
        if self.transport == "ssh":
            self._check_ssh_address()
        if self.transport == "adb":
            if self.serial is not None and self.address is not None:
                raise key_error("a device has a serial (USB) or an address (network), not both", "serial")
            if self.address is not None and not self.address.rpartition(":")[2].isdecimal():
                raise key_error(
                    f"expected host:port, as 'adb connect' takes it, got '{self.address}'", "address"
                )
        return self

    def _check_ssh_address(self) -> None:
        if not self.address:
            raise key_error("missing; an ssh device needs a host name or an IP address", "address")
        user, at, host = self.address.rpartition("@")
        if at:
            raise key_error(f"write the host alone ('{host}'), and 'user: {user}'", "address")
        host, colon, port = self.address.partition(":")
        if colon and port.isdecimal():
            raise key_error(f"write the host alone ('{host}'), and 'port: {port}'", "address")


class _DevicesFile(BaseModel):
    """The shape of devices.yaml; each device is validated once the defaults are under it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: _Settings = _Settings()
    devices: dict[str, DeviceSpec]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The devices by name, in the file's order; `source` is None for the built-in fleet of `local` alone."""

    devices: Mapping[str, DeviceSpec]
    source: Path | None

    def get(self, name: str) -> DeviceSpec:
        """The device called `name`. Raises UsageError listing the known ones and the nearest."""
        if name in self.devices:
            return self.devices[name]
        where = f"{self.source}: " if self.source else ""
        hint = (
            "" if self.source else f"no {DEVICES_NAME} was found; 'edgeflow devices scan --write' writes one"
        )
        if name.startswith(LAB_PREFIX):
            hint = (
                f"a device of the lab: edgeflow lab up {name}, then give its file: "
                "--devices-file EDGEFLOW_HOME/lab/devices.yaml (`lab up` prints the path)"
            )
        raise UsageError(f"{where}unknown device '{name}'; {did_you_mean(name, self.devices)}", hint=hint)

    def select(self, names: str | Iterable[str]) -> list[DeviceSpec]:
        """The devices that any of `names` names, each once, in the fleet's order.

        Each is a device, `all`, or a tag (`tag:NAME`, or NAME alone where no device is called so); a string
        may hold several, separated by commas. Raises UsageError on an unknown name and on an empty selection.
        """
        parts = names.split(",") if isinstance(names, str) else list(names)
        chosen: set[str] = set()
        for part in (part.strip() for part in parts):
            if part:
                chosen.update(self._matches(part))
        if not chosen:
            raise UsageError("no device named", hint=f"name one of: {', '.join(self.devices)}; or {ALL}")
        return [spec for name, spec in self.devices.items() if name in chosen]

    def _matches(self, part: str) -> list[str]:
        if part == ALL:
            return list(self.devices)
        if part in self.devices:
            return [part]
        tag = part.removeprefix(TAG_PREFIX)
        found = [name for name, spec in self.devices.items() if tag in spec.tags]
        if found:
            return found
        tags = sorted({tag for spec in self.devices.values() for tag in spec.tags})
        if part.startswith(TAG_PREFIX):
            raise UsageError(f"no device has the tag '{tag}'; {did_you_mean(tag, tags)}")
        match = nearest(part, [*self.devices, *tags])
        guess = f"; did you mean '{match}'?" if match else ""
        known = f"devices: {', '.join(self.devices)}; tags: {', '.join(tags) or 'none'}"
        raise UsageError(f"unknown device or tag '{part}'{guess} ({known})")


def load_fleet(explicit: Path | None, cwd: Path, user_dir: Path) -> Fleet:
    """The fleet of `explicit`, else of devices.yaml in `cwd`, else of the user's, else `local` alone.

    Always holds `local`. Raises UsageError with file, line and key; an `explicit` file must exist.
    """
    if explicit is not None:
        return _load(explicit)
    for candidate in (cwd / DEVICES_NAME, user_dir / DEVICES_NAME):
        if candidate.exists():
            return _load(candidate)
    return Fleet({LOCAL: _local({})}, None)


def _load(path: Path) -> Fleet:
    document = load_yaml(path)
    defaults, devices = document.data.get("defaults"), document.data.get("devices")
    base = defaults if isinstance(defaults, dict) else {}
    data = dict(document.data)
    if isinstance(devices, dict):
        _check_names(document, devices)
        data["devices"] = {
            name: _with_defaults(name, device, base) if isinstance(device, dict) else device
            for name, device in devices.items()
        }
    fleet = dict(replace(document, data=data).validate(_DevicesFile).devices)
    if LOCAL not in fleet:
        fleet = {LOCAL: _local(base), **fleet}
    return Fleet(fleet, path)


def _check_names(document: YamlDocument, devices: Mapping[str, Any]) -> None:
    for name, device in devices.items():
        try:
            checked_name(name)
        except ValueError as error:
            raise document.error(("devices", name), str(error)) from None
        if isinstance(device, dict) and "name" in device:
            message = f"unknown key; the device's name is '{name}', the key it stands under"
            raise document.error(("devices", name, "name"), message)


def _with_defaults(name: str, device: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The device over those defaults that its transport understands."""
    transport = device.get("transport")
    if transport not in tuple(KEYS_OF_TRANSPORT):
        return {**device, "name": name}
    foreign = set(_BOUND_KEYS) - KEYS_OF_TRANSPORT[transport]
    known = {
        key: value for key, value in defaults.items() if key in _Settings.model_fields and key not in foreign
    }
    return {**known, **device, "name": name}


def _local(defaults: Mapping[str, Any]) -> DeviceSpec:
    return DeviceSpec.model_validate(_with_defaults(LOCAL, {"transport": "local"}, defaults))
