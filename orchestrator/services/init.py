"""Write a commented centre.toml, from the settings' own descriptions."""

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from orchestrator.errors import InputInvalid, Refused, SettingsInvalid
from orchestrator.i18n import _
from orchestrator.settings import (
    Centre,
    EvidenceSettings,
    GatewaySettings,
    GuardSettings,
    Limits,
    NetworkSettings,
    RestorePoints,
    Sites,
    Standbys,
    TrustSettings,
    load,
)


def init(
    path: Path,
    *,
    centre: str,
    name: str,
    room: str,
    seats: int,
    first_address: str,
    gateway: dict[str, Any] | None = None,
    network: dict[str, Any] | None = None,
    state: Path = Path("state"),
    public_key: str = "",
    guard: dict[str, Any] | None = None,
    macs: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Write *path* for one room whose seats have consecutive addresses from *first_address*. *macs* are the seats'
    hardware addresses.

    Raises Refused when the file exists, InputInvalid for what cannot be used; nothing is left then.
    """
    try:
        first = ipaddress.IPv4Address(first_address)
        addresses = [str(first + index) for index in range(seats)]
    except ValueError as error:
        raise InputInvalid(_("{text} is not an IPv4 address.").format(text=first_address)) from error
    strangers = sorted(macs.keys() - set(range(1, seats + 1)))
    if strangers:
        raise InputInvalid(_("Seat {seat} is not one of the room's.").format(seat=strangers[0]))
    workstations = [
        f"{{ number = {number}, address = {json.dumps(address)}"
        + (f", mac = {json.dumps(macs[number].lower())}" if number in macs else "")
        + " }"
        for number, address in enumerate(addresses, 1)
    ]
    text = _render(
        centre, name, room, workstations, gateway or {}, network or {}, state, _public_key(public_key), guard or {}
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(
            _("{path} exists: it was not changed.").format(path=path),
            hint=_("Edit it, or name another file with --centre."),
        ) from None
    except OSError as error:
        raise InputInvalid(_("{path} cannot be written: {error}.").format(path=path, error=error.strerror)) from error
    try:
        load(path)
    except SettingsInvalid as error:
        path.unlink()
        raise InputInvalid(error.message, details=error.details) from error


def _render(
    centre: str,
    name: str,
    room: str,
    seats: list[str],
    gateway: dict[str, Any],
    network: dict[str, Any],
    state: Path,
    public_key: str,
    guard: dict[str, Any],
) -> str:
    lines = [
        "# " + _("Settings of an E5B exam centre. `e5b preflight` checks them."),
        "",
        *_section("centre", Centre, {"id": centre, "name": name, "state": str(state)}),
        *_section("gateway", GatewaySettings, gateway),
        *_section("network", NetworkSettings, network),
        *_section("limits", Limits, {}),
        *_section("restore_points", RestorePoints, {}),
        *_section("standbys", Standbys, {}),
        *_section("evidence", EvidenceSettings, {}),
        *_section("sites", Sites, {}),
        *_section("guard", GuardSettings, guard),
        *_section("trust", TrustSettings, {"public_key": public_key}),
        "# " + _("One [[rooms]] section per room. A seat's number is unique in the centre."),
        "# " + _("A seat's site can be reached from that address alone, the workstation's own, and by the staff."),
        "[[rooms]]",
        f"name = {json.dumps(room)}",
        "seats = [",
        *(f"  {seat}," for seat in seats),
        "]",
    ]
    return "\n".join(lines) + "\n"


def _public_key(given: str) -> str:
    """The key itself, when it is given as the file that minisign writes: its second line."""
    try:
        lines = Path(given).read_text(encoding="utf-8").split("\n") if given and Path(given).is_file() else [given]
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalid(_("{path} cannot be read: {error}.").format(path=given, error=error)) from error
    return lines[1 if len(lines) > 1 else 0].strip()


def _section(title: str, model: type[BaseModel], values: dict[str, Any]) -> list[str]:
    lines = [f"[{title}]"]
    for key, field in model.model_fields.items():
        lines.append(f"# {_(field.description or key)}")
        value = values.get(key, field.default)
        # What has no value is shown, and left out.
        lines.append(f'# {key} = ""' if value is None else f"{key} = {_toml(value)}")
    return [*lines, ""]


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
