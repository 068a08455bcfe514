"""Preflight: is everything ready? One line per check, with a verdict and what to do."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from orchestrator.domain.exam import CANDIDATES_AT_ONCE, EnvironmentRole, Site
from orchestrator.domain.lifecycle import HOLDS_SEATS, WaveState
from orchestrator.domain.probes import Verdict as Outcome
from orchestrator.errors import E5BError
from orchestrator.i18n import _
from orchestrator.ports import PolicyFiles
from orchestrator.services.centre import Centre
from orchestrator.services.environments import check_image
from orchestrator.services.guard import is_whole, was_green_today
from orchestrator.services.guard_policy import read_policy
from orchestrator.services.prepare import DISK_RESERVE, disk_needed

WAVES_A_DAY = 4

MEMORY_PER_SEAT = 160 * 2**20
"""Bytes of one working environment (an idle one takes half of it)."""

MEMORY_RESERVE = 1 * 2**30

POINT_SIZE = 40 * 2**20
"""Bytes of one restore point, of the larger site, with ordinary edits."""

POINTS_ASKED = 2
"""For each seat, besides the scheduled ones: asked for, or what a restore put aside."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Check:
    """*detail* says what was found; *remedy* what to do, empty when nothing."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def preflight(centre: Centre) -> list[Check]:
    """Every check, whatever the others say; one that cannot be made is a failure with its reason."""
    # First: it shows progress of its own.
    probe = _probe(centre)
    checks: list[Check] = []
    groups: list[tuple[str, Callable[[Centre], Iterator[Check]]]] = [
        (_("engine"), _engine),
        (_("processors"), _processors),
        (_("memory"), _memory),
        (_("disk"), _disk),
        (_("clock"), _clock),
        (_("images"), _images),
        (_("network"), _network),
        (_("ports"), _ports),
        (_("guard"), _guard),
        (_("guard: probe"), lambda _centre: iter(probe)),
        (_("subjects"), _subjects),
        (_("leftovers"), _leftovers),
        (_("supervision"), _supervision),
        (_("journal"), _journal),
    ]
    centre.progress.begin(_("Checking"), len(groups))
    for name, group in groups:
        try:
            checks.extend(group(centre))
        except E5BError as error:
            checks.append(Check(name, Verdict.FAILURE, error.message, error.hint or ""))
        centre.progress.step(name)
    centre.progress.end()
    return checks


def _seats(centre: Centre) -> int:
    return min(CANDIDATES_AT_ONCE, len(centre.settings.seats))


def _engine(centre: Centre) -> Iterator[Check]:
    facts = centre.engine.facts()
    yield Check(_("engine"), Verdict.OK, f"Docker {facts.version}")
    if facts.storage_driver == "overlay2":
        yield Check(_("storage"), Verdict.OK, facts.storage_driver)
    else:
        yield Check(
            _("storage"),
            Verdict.FAILURE,
            facts.storage_driver,
            _('Set "storage-driver": "overlay2" in /etc/docker/daemon.json and restart Docker.'),
        )
    if not facts.layers_reachable:
        yield Check(
            _("restore points"),
            Verdict.WARNING,
            _("this account cannot reach the engine's layers: nothing can be restored"),
            _("Run e5b with sudo, on the machine of the Docker engine."),
        )
    if facts.disk_quota:
        yield Check(_("disk limit"), Verdict.OK, _("each environment is bounded by the file system"))
    else:
        yield Check(
            _("disk limit"),
            Verdict.WARNING,
            _("no quota on {root}: `e5b serve` watches instead").format(root=facts.root),
            _("Leave `e5b serve` running during the waves, or put Docker's data on xfs mounted with prjquota."),
        )


def _processors(centre: Centre) -> Iterator[Check]:
    cpus = centre.host.cpus()
    yield Check(
        _("processors"),
        Verdict.OK if cpus >= 4 else Verdict.WARNING if cpus >= 2 else Verdict.FAILURE,
        str(cpus),
        "" if cpus >= 4 else _("Four processors or more serve twenty candidates comfortably."),
    )


def _memory(centre: Centre) -> Iterator[Check]:
    seats, available = _seats(centre), centre.host.memory_available()
    # Environments that run already count: what they use is not available any more.
    running = sum(item.role is EnvironmentRole.ACTIVE for item in centre.store.environments())
    once = MEMORY_RESERVE + max(0, seats - running) * MEMORY_PER_SEAT
    twice = once + seats * MEMORY_PER_SEAT
    verdict = Verdict.OK if available >= twice else Verdict.WARNING if available >= once else Verdict.FAILURE
    detail = _("{available} available, {needed} needed for {seats} seats and their reset").format(
        available=_size(available), needed=_size(twice), seats=seats
    )
    yield Check(_("memory"), verdict, detail, "" if verdict is Verdict.OK else _("Close other programs or add memory."))


def _disk(centre: Centre) -> Iterator[Check]:
    # Restore points are of one wave at a time; those of a wave that is over are removed.
    points = _seats(centre) * (centre.settings.restore_points.keep + POINTS_ASKED) * POINT_SIZE
    needed = WAVES_A_DAY * (disk_needed(_seats(centre)) - DISK_RESERVE) + points + DISK_RESERVE
    for folder in dict.fromkeys((centre.engine.facts().root, centre.settings.centre.state)):
        free = centre.host.disk_free(folder)
        detail = _("{folder}: {free} free, {needed} needed for the day's waves and their evidence").format(
            folder=folder, free=_size(free), needed=_size(needed)
        )
        if free >= needed:
            yield Check(_("disk"), Verdict.OK, detail)
        else:
            yield Check(
                _("disk"),
                Verdict.FAILURE,
                detail,
                _("Free {missing}, or move the folder to a larger disk.").format(missing=_size(needed - free)),
            )


def _clock(centre: Centre) -> Iterator[Check]:
    synchronised = centre.host.clock_synchronised()
    shown = centre.clock.now().astimezone().strftime("%d/%m/%Y %H:%M:%S %Z")
    yield Check(
        _("clock"),
        Verdict.OK if synchronised else Verdict.WARNING,
        shown if synchronised else _("{time}: it is not known to follow a time server").format(time=shown),
        ""
        if synchronised
        else _("Compare it with a clock you trust; `timedatectl set-ntp true` turns the service on."),
    )


def _images(centre: Centre) -> Iterator[Check]:
    planned = [wave for wave in centre.store.waves() if wave.state is WaveState.PLANNED]
    for site in Site:
        name = _("image {site}").format(site=site.value)
        needed = [wave for wave in planned if wave.site is site]
        try:
            found = check_image(centre, site, centre.settings.sites.image(site))
        except E5BError as error:
            # A centre may well never need one of the two sites on this day.
            yield Check(name, Verdict.FAILURE if needed else Verdict.WARNING, error.message, error.hint or "")
            continue
        others = [wave.id for wave in needed if wave.image != found]
        if others:
            yield Check(
                name,
                Verdict.FAILURE,
                _("wave {wave} was planned with another image").format(wave=others[0]),
                _("Plan the wave again (`e5b wave plan`) to use the present image."),
            )
        else:
            yield Check(name, Verdict.OK, found[:19])


def _network(centre: Centre) -> Iterator[Check]:
    subnet = centre.settings.network.subnet
    # Ours is known to the machine once the first environment has been started.
    overlapping = [
        route for route in map(IPv4Network, centre.host.networks()) if route.overlaps(subnet) and route != subnet
    ]
    if overlapping:
        yield Check(
            _("network"),
            Verdict.FAILURE,
            _("{subnet} overlaps with {other}").format(subnet=subnet, other=overlapping[0]),
            _("Choose another private network for network.subnet in centre.toml."),
        )
    else:
        yield Check(_("network"), Verdict.OK, str(subnet))


def _ports(centre: Centre) -> Iterator[Check]:
    settings = centre.settings
    ports = sorted({settings.seat_port(seat) for seat in settings.seats})
    shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    if centre.gateway.serving() is not None:
        yield Check(_("gateway"), Verdict.OK, _("running on {ports}").format(ports=shown))
        return
    held = [
        (port, holder)
        for port in ports
        if (holder := centre.host.port_holder(str(settings.gateway.listen), port)) is not None
    ]
    if held:
        port, holder = held[0]
        yield Check(
            _("ports"),
            Verdict.FAILURE,
            _("port {port} is used by {holder}").format(port=port, holder=holder),
            _("Stop that program, or change the gateway's port in centre.toml."),
        )
    else:
        yield Check(_("ports"), Verdict.OK, _("{ports} free").format(ports=shown))


def _guard(centre: Centre) -> Iterator[Check]:
    settings = centre.settings.guard
    guard, files = centre.guard, centre.policy_files
    if guard is None or files is None:
        yield Check(
            _("guard"),
            Verdict.WARNING,
            _("off: what the seats reach on the network is somebody else's to close"),
            _("docs/fr/filtrage.md says how this machine closes it; guard.mode in centre.toml turns it on."),
        )
        return
    yield (
        Check(
            _("guard"),
            Verdict.OK,
            _("gateway: this machine is the router of {seats} seats").format(seats=len(centre.settings.seats)),
        )
        if settings.mode == "gateway"
        else Check(
            _("guard"),
            Verdict.WARNING,
            _("proxy: what does not use the proxy gets round it, unless the school's network refuses it"),
            _("Prefer the mode gateway; otherwise let the school's firewall refuse the seats all but the proxy."),
        )
    )
    there = centre.host.interfaces()
    for name in filter(None, (settings.interface, settings.uplink)):
        if name not in there:
            yield Check(
                _("guard: network"),
                Verdict.FAILURE,
                _("there is no network interface {name}").format(name=name),
                _("Correct guard.interface and guard.uplink in centre.toml: {names}.").format(names=", ".join(there)),
            )
    yield from _policy(centre, files)
    state = guard.state()
    stopped = [] if state is None else sorted(name for name, runs in state.engines.items() if not runs)
    if state is None or stopped:
        yield Check(
            _("guard: engines"),
            Verdict.FAILURE,
            _("it does not run") if state is None else _("stopped: {engines}").format(engines=", ".join(stopped)),
            _("Start it: `e5b guard apply`."),
        )
    else:
        yield Check(_("guard: engines"), Verdict.OK, ", ".join(sorted(state.engines)))


def _probe(centre: Centre) -> list[Check]:
    """The guard's proof: today's, or one that is made now. Nothing to say where no guard runs: the other checks do."""
    # Here, not above: no other command needs it.
    from orchestrator.services.guard_probe import probe_guard

    name = _("guard: probe")
    try:
        state = centre.guard.state() if centre.guard is not None else None
        if state is None or not is_whole(state):
            return []
        if was_green_today(centre):
            return [Check(name, Verdict.OK, _("today, all that should be closed was closed"))]
        found = probe_guard(centre)
    except E5BError as error:
        return [Check(name, Verdict.FAILURE, error.message, error.hint or "")]
    if found.green:
        return [Check(name, Verdict.OK, _("made now: {count} ways closed").format(count=len(found.of(Outcome.CLOSED))))]
    opened, broken = found.of(Outcome.OPEN), found.of(Outcome.BROKEN)
    detail = _("made now: {open} ways open, {broken} of what must work broken: {ids}").format(
        open=len(opened), broken=len(broken), ids=", ".join(line.id for line in (*opened, *broken)) or "-"
    )
    return [Check(name, Verdict.FAILURE, detail, _("`e5b guard probe` shows each attempt."))]


def _policy(centre: Centre, files: PolicyFiles) -> Iterator[Check]:
    # Here, not above: no other command needs it.
    from orchestrator.services.guard_lint import Severity, lint

    name, lint_names = _("guard: policy"), _("`e5b guard lint` names the faults.")
    try:
        policy, lists = read_policy(files, centre.settings)
    except E5BError as error:
        yield Check(name, Verdict.FAILURE, "; ".join([error.message, *error.details]), lint_names)
        return
    found = Counter(item.severity for item in lint(policy, lists))
    if found[Severity.ERROR]:
        yield Check(
            name,
            Verdict.FAILURE,
            _("the lists contradict themselves ({count} errors)").format(count=found[Severity.ERROR]),
            lint_names,
        )
    elif policy.version != centre.store.policy_version():
        yield Check(
            name, Verdict.WARNING, _("the lists are not what is in place"), _("Put them in place: `e5b guard apply`.")
        )
    else:
        yield Check(name, Verdict.OK, _("{count} names").format(count=len(policy.rules)))


def _subjects(centre: Centre) -> Iterator[Check]:
    """Nothing to say in a centre without a bank."""
    bank = centre.store.bank()
    if bank is None:
        return
    centre.clear_text.check()
    if centre.host.swaps():
        yield Check(
            _("subjects"),
            Verdict.WARNING,
            _("this machine swaps to a disk: what is unlocked could be written there"),
            _("Turn swapping off for the exam (sudo swapoff -a), or encrypt the swap."),
        )
    else:
        yield Check(
            _("subjects"),
            Verdict.OK,
            _("{session}, version {version}; {folder} is in memory").format(
                session=bank.session, version=bank.version, folder=centre.settings.clear_text_folder
            ),
        )


def _leftovers(centre: Centre) -> Iterator[Check]:
    waves = [wave for wave in centre.store.waves() if wave.state in HOLDS_SEATS or wave.intent is not None]
    for wave in waves:
        yield Check(
            _("leftovers"),
            Verdict.OK if wave.state is WaveState.PREPARED else Verdict.WARNING,
            _("wave {wave} is {state}").format(wave=wave.id, state=_(wave.state.value)),
            ""
            if wave.state is WaveState.PREPARED
            else _("`e5b wave status {wave}` says what comes next.").format(wave=wave.id),
        )
    known = {item.name: item.role for item in centre.store.environments()}
    # A supervisor takes the retired ones away by itself.
    stray = {None, EnvironmentRole.GONE} | (set() if centre.locks.supervised() else {EnvironmentRole.RETIRED})
    strange = [
        item.name
        for item in centre.engine.observe().values()
        if item.seat is not None and known.get(item.name) in stray
    ]
    if strange:
        yield Check(
            _("leftovers"),
            Verdict.WARNING,
            _("containers of ours that no wave needs: {names}").format(names=", ".join(strange)),
            _("Look at them, then remove them: docker rm -f {names}").format(names=" ".join(strange)),
        )
    if not waves and not strange:
        yield Check(_("leftovers"), Verdict.OK, _("none"))


def _supervision(centre: Centre) -> Iterator[Check]:
    if centre.locks.supervised():
        yield Check(_("supervision"), Verdict.OK, _("`e5b serve` runs"))
    else:
        yield Check(
            _("supervision"),
            Verdict.WARNING,
            _("`e5b serve` does not run: nothing is closed, sealed, repaired or kept ready by itself"),
            _("Start it, and leave it running during the waves: `e5b serve`."),
        )
    for alarm in centre.store.alarms():
        about = "" if alarm.seat is None else _("seat {seat:02d}").format(seat=alarm.seat) + ": "
        yield Check(
            _("alarm"), Verdict.WARNING, f"{about}{alarm.message}", _("The crisis sheet says what to do about it.")
        )


def _journal(centre: Centre) -> Iterator[Check]:
    last = centre.store.verify_journal()
    detail = _("empty") if last is None else _("{lines} lines, the chain holds").format(lines=last.number)
    yield Check(_("journal"), Verdict.OK, detail)


def _size(size: int) -> str:
    return _("{size:.1f} GB").format(size=size / 10**9)
