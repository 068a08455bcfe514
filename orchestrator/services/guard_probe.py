"""The proof of the guard: everything that leads past one, tried from a seat, with the seat unlocked and locked.

From a seat of its own on this machine (``ports.Guard.probe``), or from a laptop on a seat's cable, by a copy of the
script that holds its plan.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import probe as script
from orchestrator.domain import probes
from orchestrator.domain.guard import Origin
from orchestrator.domain.probes import HOST, Matrix, Port, Probe, Targets, Verdict, matrix, script_plan
from orchestrator.errors import EnvironmentFailed, InputInvalid, NotFound
from orchestrator.i18n import _
from orchestrator.ports import Entry, Guard
from orchestrator.services.centre import PROBE, Centre
from orchestrator.services.guard import guard_of

TARGETS = Path(__file__).parents[2] / "policy" / "probes.toml"

SCRIPT = Path(script.__file__)

HOST_PORTS = (22, 2375, 2376)
"""Of the exam host: its shell, its container engine. Those of the jury's page and of the seats' sites are settings."""


@dataclass(frozen=True)
class ProbedLine:
    """One attempt. *unlocked* and *locked* say whether it reached its goal; *detail* in the script's own words, and
    *seconds* until it was known, with the seat locked."""

    id: str
    attempt: str
    verdict: Verdict
    unlocked: bool
    locked: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Probed:
    """*green*: what has to work works, nothing that should be closed is open. *policy* is the version in force."""

    mode: str
    policy: str
    green: bool
    lines: tuple[ProbedLine, ...]

    def of(self, verdict: Verdict) -> list[ProbedLine]:
        return [line for line in self.lines if line.verdict is verdict]


def probe_guard(centre: Centre) -> Probed:
    """Try everything from a seat of the guard's own, which nobody sits at; no other seat's state changes.

    Raises Refused without a guard, EnvironmentFailed when it does not run, or when the seat's state was changed by
    somebody else meanwhile.
    """
    guard = guard_of(centre)
    plan = _probes(centre, _of_probe_seat(centre))
    source = SCRIPT.read_text(encoding="utf-8")
    centre.progress.begin(_("Probing the guard"), 2)
    try:
        unlocked = _run(centre, guard, source, _plan(centre, plan), locked=False)
        centre.progress.step(_("seat unlocked"))
        pinned = _plan(centre, plan, pins=unlocked.get("pins"))
        locked = _run(centre, guard, source, pinned, locked=True)
        centre.progress.step(_("seat locked"))
    finally:
        centre.progress.end()
        with centre.locks.centre():
            guard.lock(centre.locked())
    return _note(centre, matrix(plan, unlocked.get("results", {}), locked.get("results", {})), "host")


def laptop_script(centre: Centre, seat: int) -> str:
    """The script with the plan of *seat* in it, for a laptop on that seat's cable with that seat's address. It is run
    with the seat unlocked, its output kept in a file, and with the seat locked, with that file as its argument.

    Raises Refused without a guard, NotFound.
    """
    guard_of(centre)
    plan = _plan(centre, _probes(centre, _of_seat(centre, seat)), laptop=True)
    marker = "PLAN: dict[str, Any] | None = None"
    source = SCRIPT.read_text(encoding="utf-8")
    if source.count(marker) != 1:
        raise AssertionError("the probe script has no place for its plan")
    return source.replace(marker, f"PLAN = json.loads({json.dumps(plan)!r})")


def judge(centre: Centre, seat: int, unlocked: Path, locked: Path) -> Probed:
    """What a laptop found at *seat*, from the two answers of its script. Raises InputInvalid when they are none."""
    guard_of(centre)
    plan = _probes(centre, _of_seat(centre, seat))
    return _note(centre, matrix(plan, _results(unlocked), _results(locked)), "laptop", seat)


def _run(centre: Centre, guard: Guard, source: str, plan: Mapping[str, Any], *, locked: bool) -> Mapping[str, Any]:
    with centre.locks.centre():
        guard.lock(centre.locked() | {PROBE} if locked else centre.locked())
    answer = guard.probe(source, plan)
    state = guard.state()
    if state is None or (PROBE in state.locked) is not locked:
        raise EnvironmentFailed(
            _("The guard was changed while it was probed, so that nothing is proved."),
            hint=_("Run the command again; `e5b guard status` says whether the guard runs."),
        )
    return answer


def _note(centre: Centre, found: Matrix, where: str, seat: int | None = None) -> Probed:
    state = guard_of(centre).state()
    result = Probed(
        mode=centre.settings.guard.mode,
        policy=state.version if state else "",
        green=found.green,
        lines=tuple(
            ProbedLine(
                id=line.probe.id,
                attempt=line.probe.attempt,
                verdict=line.verdict,
                unlocked=line.unlocked.reached,
                locked=line.locked.reached,
                detail=line.locked.detail,
                seconds=line.locked.seconds,
            )
            for line in found.lines
        ),
    )
    data: dict[str, Any] = {"green": result.green, "mode": result.mode, "policy": result.policy, "from": where}
    data |= {"closed": len(result.of(Verdict.CLOSED)), "works": len(result.of(Verdict.WORKS))}
    for verdict in (Verdict.OPEN, Verdict.BROKEN, Verdict.UNPROVED):
        data[verdict.name.lower()] = [line.id for line in result.of(verdict)]
    centre.store.save(Entry("guard.probed", seat=seat, data=data))
    return result


def _results(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        if not all(isinstance(item, dict) for item in results.values()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputInvalid(
            _("{path} is no answer of the probe script.").format(path=path),
            hint=_("`e5b guard probe --script SEAT` prints the script; keep what it writes in a file."),
        ) from error
    return dict(results)


# The plan


def _probes(centre: Centre, targets: Targets) -> Sequence[Probe]:
    guard = centre.settings.guard
    if guard.mode == "proxy":
        return probes.proxy(targets, Port(HOST, guard.page_port))
    return probes.gateway(targets)


def _plan(
    centre: Centre, plan: Sequence[Probe], *, laptop: bool = False, pins: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    settings = centre.settings
    if settings.guard.mode == "proxy":
        # The exam host is on nobody's way: it is where the seats' browsers are told that it is.
        host = settings.gateway.host if laptop else None
        resolver = None if laptop else str(settings.guard.resolvers[0])
        return script_plan(plan, host=host, resolver=resolver, proxy=f"{HOST}:{settings.guard.proxy_port}", pins=pins)
    return script_plan(plan, resolver=HOST, pins=pins)


def _of_probe_seat(centre: Centre) -> Targets:
    """Nobody's seat: it has no site, and no neighbour."""
    targets = _targets(centre)
    sites = sorted({centre.settings.seat_port(seat) for seat in centre.settings.seats})
    return replace(targets, site=Port(HOST, sites[0]), host=_host_ports(centre))


def _of_seat(centre: Centre, seat: int) -> Targets:
    if seat not in centre.settings.seats:
        raise NotFound(_("There is no seat {seat} in centre.toml.").format(seat=seat))
    targets, port = replace(_targets(centre), host=_host_ports(centre)), centre.settings.seat_port(seat)
    if centre.settings.gateway.addressing == "host":
        return replace(targets, site=Port(HOST, port))
    others = [centre.settings.seat_port(other) for other in sorted(centre.settings.seats) if other != seat]
    return replace(targets, site=Port(HOST, port), other_site=Port(HOST, others[0]) if others else None)


def _host_ports(centre: Centre) -> tuple[Port, ...]:
    return tuple(Port(HOST, port) for port in (*HOST_PORTS, centre.settings.evidence.port))


def _targets(centre: Centre) -> Targets:
    """What the pilot academy opens for this session is no platform."""
    targets, policy = probes.targets(tomllib.loads(TARGETS.read_text(encoding="utf-8"))), centre.store.policy()
    if policy is None:
        return targets
    rules = {name: policy.decide(name).rule for name in targets.platforms}
    opened = {name for name, rule in rules.items() if rule and not rule.blocked and rule.origin is Origin.ACADEMY}
    return replace(targets, platforms=tuple(name for name in targets.platforms if name not in opened))
