"""``centre.toml``: read once, validated once, frozen.

Every setting is documented here; ``e5b init`` writes the commented file and the reference page is generated.
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.domain import naming
from orchestrator.domain.calendar import Zone
from orchestrator.domain.exam import Site
from orchestrator.errors import SettingsInvalid
from orchestrator.i18n import N_, _

Address = ipaddress.IPv4Address
Network = ipaddress.IPv4Network
Slug = Annotated[str, Field(pattern=rf"^{naming.SLUG.pattern}$", max_length=32)]

Domain = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", max_length=200)
]

Mac = Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Centre(_Section):
    id: Slug = Field(description=N_("Short id of the centre, in labels and names: lower-case letters, digits, hyphens"))
    name: str = Field(description=N_("The centre's name as people read it"))
    state: Path = Field(description=N_("Folder of the state, the journal and the evidence"))
    zone: Zone = Field(
        Zone.METROPOLE, description=N_("Zone of the national calendar: `metropole`, `reunion` or `mayotte`")
    )
    memory: Path = Field(
        Path("/run/e5b"),
        description=N_("Folder in memory (on a tmpfs) for what is unlocked: nothing of it is ever on a disk"),
    )


class GatewaySettings(_Section):
    addressing: Literal["port", "host"] = Field(
        "port",
        description=N_("`port`: one port per seat on one address; `host`: one host name per seat on one port"),
    )
    listen: Address = Field(Address("0.0.0.0"), description=N_("Address that the gateway listens on"))  # noqa: S104
    host: str = Field("127.0.0.1", description=N_("Addressing `port`: the address that seats type"))
    first_port: int = Field(
        8001,
        ge=1,
        le=65000,
        description=N_("Addressing `port`: the port of seat 1; seat n has this port + n - 1"),
    )
    domain: Domain = Field("e5b.lan", description=N_("Addressing `host`: seat 7 is `poste-07.` followed by this"))
    port: int = Field(80, ge=1, le=65535, description=N_("Addressing `host`: the one port"))
    staff: tuple[Network, ...] = Field(
        (), description=N_("Addresses or networks of the staff, who may reach every seat's site")
    )


class NetworkSettings(_Section):
    subnet: Network = Field(
        Network("10.213.0.0/24"), description=N_("Internal network of the environments: no route leads out of it")
    )


class Limits(_Section):
    memory_mb: int = Field(640, ge=128, description=N_("Memory of one environment, in MB"))
    cpus: float = Field(1.0, gt=0, description=N_("Processors that one environment may use at most"))
    processes: int = Field(160, ge=32, description=N_("Processes and threads of one environment"))
    disk_mb: int = Field(2048, ge=256, description=N_("What one environment may write, in MB"))
    parallel: int = Field(
        0, ge=0, description=N_("Environments handled at the same time; 0: chosen from the processors")
    )


class RestorePoints(_Section):
    interval_minutes: float = Field(
        5, ge=0, le=60, description=N_("Minutes between two restore points of a seat while its wave is open; 0: none")
    )
    keep: int = Field(4, ge=1, le=20, description=N_("Scheduled restore points kept for each candidate"))
    reserve_mb: int = Field(
        4096, ge=0, description=N_("Free disk, in MB, below which no restore point is taken; the wave goes on")
    )


class Standbys(_Section):
    most: int = Field(20, ge=0, description=N_("Environments held ready behind the seats at most; 0: none"))
    memory_reserve_mb: int = Field(1024, ge=0, description=N_("Free memory, in MB, below which none is made"))
    busy_percent: float = Field(
        75, gt=0, le=100, description=N_("Use of the processors, in percent, above which none is made")
    )


class EvidenceSettings(_Section):
    port: int = Field(
        8099, ge=1, le=65535, description=N_("Port of `e5b evidence open`, for the staff's addresses alone")
    )


class GuardSettings(_Section):
    mode: Literal["off", "gateway", "proxy"] = Field(
        "off",
        description=N_(
            "`gateway`: this machine is the seats' router; `proxy`: their browsers use it as a proxy, which is weaker; "
            "`off`: the network is somebody else's"
        ),
    )
    interface: str = Field("", max_length=15, description=N_("Mode `gateway`: network interface on the seats' side"))
    uplink: str = Field("", max_length=15, description=N_("Mode `gateway`: network interface towards the Internet"))
    resolvers: tuple[Address, ...] = Field((), description=N_("Name servers that the guard asks; at least one"))
    proxy_port: int = Field(3128, ge=1, le=65535, description=N_("Mode `proxy`: the proxy's port"))
    page_port: int = Field(
        3129, ge=1, le=65535, description=N_("Port of the explanation page and, in mode `proxy`, of `/proxy.pac`")
    )
    only_allowed: bool = Field(False, description=N_("Nothing is open but what the policy allows"))
    policy: Path | None = Field(
        None, description=N_("Folder of the centre's own rules, which block only; relative to centre.toml")
    )
    alert_attempts: int = Field(
        10, ge=1, description=N_("Refused attempts of one seat within a minute that raise an alarm")
    )


class TrustSettings(_Section):
    public_key: Annotated[str, Field(pattern=r"^(RW[A-Za-z0-9+/]{54})?$")] = Field(
        "",
        description=N_(
            "Public key (minisign) of the pilot academy, the second line of its file minisign.pub: "
            "a package that it has not signed is refused"
        ),
    )


class Sites(_Section):
    wordpress: str = Field("e5b/wordpress:current", description=N_("Image of the WordPress site"))
    prestashop: str = Field("e5b/prestashop:current", description=N_("Image of the PrestaShop site"))

    def image(self, site: Site) -> str:
        return self.wordpress if site is Site.WORDPRESS else self.prestashop


class Seat(_Section):
    number: int = Field(ge=1, le=99, description=N_("The workstation's number, unique in the centre"))
    address: Address = Field(description=N_("The workstation's own address, from which alone its site can be reached"))
    mac: Mac | None = Field(
        None, description=N_("The workstation's hardware address; the guard's mode `gateway` needs it")
    )


class Room(_Section):
    name: Slug = Field(description=N_("Short name: lower-case letters, digits, hyphens"))
    seats: tuple[Seat, ...] = Field(min_length=1, description=N_("The room's workstations"))


class Settings(_Section):
    centre: Centre
    gateway: GatewaySettings = GatewaySettings()
    network: NetworkSettings = NetworkSettings()
    limits: Limits = Limits()
    restore_points: RestorePoints = RestorePoints()
    standbys: Standbys = Standbys()
    evidence: EvidenceSettings = EvidenceSettings()
    sites: Sites = Sites()
    trust: TrustSettings = TrustSettings()
    guard: GuardSettings = GuardSettings()
    rooms: tuple[Room, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> "Settings":
        names: set[str] = set()
        numbers: set[int] = set()
        addresses: set[Address] = set()
        macs: set[str] = set()
        for room in self.rooms:
            if room.name in names:
                raise ValueError(_("room {name} is declared twice").format(name=room.name))
            names.add(room.name)
            for seat in room.seats:
                if seat.number in numbers:
                    raise ValueError(_("seat {seat} is declared twice").format(seat=seat.number))
                if seat.address in addresses:
                    raise ValueError(_("address {address} is given to two seats").format(address=seat.address))
                if seat.mac is not None and seat.mac in macs:
                    raise ValueError(_("hardware address {mac} is given to two seats").format(mac=seat.mac))
                numbers.add(seat.number)
                addresses.add(seat.address)
                if seat.mac is not None:
                    macs.add(seat.mac)
        # What serves, what is ready behind it, and what is being taken away.
        needed = 3 * len(numbers) + 4
        if self.network.subnet.num_addresses < needed:
            raise ValueError(
                _("the network {subnet} is too small: {needed} addresses are needed").format(
                    subnet=self.network.subnet, needed=needed
                )
            )
        return self

    @model_validator(mode="after")
    def _guarded(self) -> "Settings":
        """What the guard's mode needs; all that is missing at once."""
        guard = self.guard
        if guard.mode == "off":
            return self
        missing = [] if guard.resolvers else ["guard.resolvers"]
        if guard.mode == "gateway":
            missing += [f"guard.{name}" for name in ("interface", "uplink") if not getattr(guard, name)]
            without = sorted(seat.number for seat in self.seats.values() if seat.mac is None)
            if without:
                missing.append(_("mac of the seats {seats}").format(seats=", ".join(map(str, without))))
        if missing:
            raise ValueError(
                _("guard.mode `{mode}` needs: {missing}").format(mode=guard.mode, missing=", ".join(missing))
            )
        if guard.interface and guard.interface == guard.uplink:
            raise ValueError(_("guard.interface and guard.uplink are the same"))
        return self

    @property
    def seats(self) -> dict[int, Seat]:
        return {seat.number: seat for room in self.rooms for seat in room.seats}

    def room(self, name: str) -> Room | None:
        return next((room for room in self.rooms if room.name == name), None)

    def seat_port(self, seat: int) -> int:
        """The gateway's port for *seat*."""
        gateway = self.gateway
        return gateway.port if gateway.addressing == "host" else gateway.first_port + seat - 1

    def seat_url(self, seat: int) -> str:
        """The one address of a seat's site, without a final slash."""
        gateway, port = self.gateway, self.seat_port(seat)
        host = naming.seat_host(seat, gateway.domain) if gateway.addressing == "host" else gateway.host
        return f"http://{host}" if port == 80 else f"http://{host}:{port}"

    @property
    def database(self) -> Path:
        return self.centre.state / "e5b.sqlite"

    @property
    def bank_file(self) -> Path:
        """The sealed bank that is loaded."""
        return self.centre.state / "bank" / "bank.e5b"

    @property
    def clear_text_folder(self) -> Path:
        return self.centre.memory / self.centre.id

    @property
    def shown_folder(self) -> Path:
        """What of the clear text the gateway can see."""
        return self.clear_text_folder / "shown"

    @property
    def evidence_folder(self) -> Path:
        return self.centre.state / "evidence"

    def evidence_url(self, host: str | None = None) -> str:
        """Where a sealed site is shown to a jury, without a final slash. *host*: the machine's address as they type
        it, gateway.host by default."""
        host, port = host or self.gateway.host, self.evidence.port
        return f"http://{host}" if port == 80 else f"http://{host}:{port}"

    @property
    def jury_folder(self) -> Path:
        return self.centre.state / "jury"

    @property
    def gateway_folder(self) -> Path:
        return self.centre.state / "gateway"

    @property
    def session_rules(self) -> Path:
        """The rules of the guard that came with the loaded context; they need not be there."""
        return self.centre.state / "rules" / "current"

    @property
    def guard_folder(self) -> Path:
        return self.centre.state / "guard"

    @property
    def clock_file(self) -> Path:
        return self.centre.state / "clock.json"

    @property
    def locks_folder(self) -> Path:
        return self.centre.state / "locks"


def load(path: Path) -> Settings:
    """The settings in *path*. Raises SettingsInvalid with every fault of the file."""
    hint = _("Correct {path}; `e5b init --help` shows how to write a new one.").format(path=path)
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(
            _("There is no settings file {path}.").format(path=path),
            hint=_("Run `e5b init`, or name another file with --centre."),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(_("{path} cannot be read: {error}.").format(path=path, error=error)) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(
            _("{path} is not valid TOML: {error}.").format(path=path, error=error), hint=hint
        ) from error
    for section, key in (("centre", "state"), ("guard", "policy")):
        named = raw.get(section, {}).get(key) if isinstance(raw.get(section), dict) else None
        if isinstance(named, str):
            # A relative folder is relative to the file that names it, not to where the command was run.
            raw[section][key] = str(path.resolve().parent / named)
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
        # A list whose items were all wrong is empty to the library: that is no fault of its own.
        wrong = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
        faults = [
            fault(item["loc"], item["type"], item["msg"], item.get("input"))
            for item in found
            if not (item["type"] == "too_short" and item["loc"] in wrong)
        ]
        raise SettingsInvalid(
            _("{path} holds a setting that cannot be used.").format(path=path)
            if len(faults) == 1
            else _("{path} holds {count} settings that cannot be used.").format(path=path, count=len(faults)),
            hint=hint,
            details=faults,
        ) from error


def fault(location: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if kind == "extra_forbidden":
        return _("{where}: unknown setting").format(where=where)
    if kind == "missing":
        return _("{where}: this setting is required").format(where=where)
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return _("{where}: {value} cannot be used ({message})").format(where=where, value=repr(value), message=message)
