"""Environments brought up, proved and taken away: what prepare, reset and a single seat's reset have in common."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import TypeVar

from orchestrator.domain import naming
from orchestrator.domain.exam import PROVED, Environment, EnvironmentRole, Site, Wave
from orchestrator.domain.fingerprint import Difference, Fingerprint, differences
from orchestrator.domain.plan import StepKind, plan
from orchestrator.errors import E5BError, EngineUnavailable, EnvironmentFailed, ImageUnusable, NoSpace, Refused
from orchestrator.i18n import _, ngettext
from orchestrator.ports import Entry
from orchestrator.services.centre import Centre
from orchestrator.services.evidence import is_safe
from orchestrator.services.subjects import begins_with

READY_TIMEOUT = 120.0
"""Seconds. Twenty cold sites on two slow processors stay well below it."""

RUNNING_TIMEOUT = 20.0
"""Seconds for a site that is running already."""

SHOWN = 8
"""Differences named one by one; more are counted."""

T = TypeVar("T")
R = TypeVar("R")


def check_image(centre: Centre, site: Site, reference: str) -> str:
    """The id of the image that *reference* names. Raises ImageUnusable unless it is one for *site* under a contract
    that we know."""
    found = centre.engine.image(reference)
    if found is None:
        raise ImageUnusable(
            _("The image {image} for {site} is not on this machine.").format(image=reference, site=site.value),
            hint=_("Build it with `e5b setup`, or correct sites.{site} in centre.toml.").format(site=site.value),
        )
    if found.contract is None:
        raise ImageUnusable(
            _("The image {image} does not follow the image contract.").format(image=reference),
            hint=_("Choose an image that `e5b image list` shows."),
        )
    if found.contract != naming.CONTRACT_VERSION:
        raise ImageUnusable(
            _(
                "The image {image} follows version {version} of the image contract; this program knows version {known}."
            ).format(image=reference, version=found.contract, known=naming.CONTRACT_VERSION),
            hint=_("Build the images again with `e5b setup`."),
        )
    if found.site != site.value:
        raise ImageUnusable(
            _("The image {image} holds {found}, not {site}.").format(
                image=reference, found=found.site, site=site.value
            ),
            hint=_("Correct sites.{site} in centre.toml.").format(site=site.value),
        )
    return found.id


def reference_fingerprint(centre: Centre, site: Site, image: str) -> Fingerprint:
    """The fingerprint that every environment of *image* must have; measured once per image, in full."""
    known = centre.store.reference(image)
    if known is not None:
        return known
    with centre.locks.measuring():
        known = centre.store.reference(image)
        if known is None:
            known = centre.engine.reference(site, image)
            centre.store.save(
                Entry("image.reference", data={"image": image, "site": site.value, "fingerprint": known.digest}),
                references={image: known},
            )
    return known


@dataclass(frozen=True)
class Start:
    """What the candidates of a wave begin with: the *reference*, or what the *fixtures* of a *subject* (its key) make
    of it. Every environment has its *fingerprint*."""

    reference: Fingerprint
    fingerprint: Fingerprint
    subject: str | None = None
    fixtures: bytes | None = field(default=None, repr=False)


def start_of(centre: Centre, wave: Wave) -> Start:
    """What an environment of *wave* begins with now. What the fixtures make of the image is measured once, as the
    reference is, and kept with the clear text: a fingerprint names files.

    Raises Refused when candidates work on a subject whose clear text is gone.
    """
    reference = reference_fingerprint(centre, wave.site, wave.image)
    subject = begins_with(centre, wave)
    if subject is None:
        return Start(reference, reference)
    fixtures = centre.clear_text.fixtures(subject)
    if fixtures is None:
        raise Refused(
            _("The subject of wave {wave} is not in this machine's memory any more.").format(wave=wave.id),
            hint=_("Unlock it again: `e5b subject unlock`, with the same code."),
        )
    known = centre.clear_text.reference(subject, wave.image)
    if known is None:
        with centre.locks.measuring():
            known = centre.clear_text.reference(subject, wave.image)
            if known is None:
                with _saying_nothing():
                    known = centre.engine.reference(wave.site, wave.image, fixtures)
                centre.clear_text.keep_reference(subject, wave.image, known)
    return Start(reference, known, subject, fixtures)


@contextmanager
def _saying_nothing() -> Iterator[None]:
    """What a site says of fixtures that it cannot apply may be the subject's own words: they go nowhere."""
    try:
        yield
    except EnvironmentFailed:
        failed = EnvironmentFailed(
            _("The subject's fixtures cannot be applied."),
            hint=_("Run the command again. If it fails again, the spare subject: `e5b subject spare --reason …`."),
        )
    else:
        return
    raise failed


def new_environment(
    centre: Centre,
    seat: int,
    site: Site,
    image: str,
    role: EnvironmentRole,
    existing: Iterable[Environment],
    subject: str | None = None,
) -> Environment:
    """The next environment of *seat*, not yet stored: a new generation at the lowest free address. The fixtures of
    *subject* will be put into it."""
    known = list(existing)
    generation = 1 + max((item.generation for item in known if item.seat == seat), default=0)
    return Environment(
        name=naming.environment_name(centre.settings.centre.id, seat, generation),
        seat=seat,
        generation=generation,
        site=site,
        image=image,
        address=free_address(centre.settings.network.subnet, addresses(known)),
        url=centre.settings.seat_url(seat),
        role=role,
        subject=subject,
    )


def addresses(environments: Iterable[Environment]) -> set[str]:
    """Those of the living environments."""
    return {item.address for item in environments if item.role is not EnvironmentRole.GONE}


def free_address(subnet: IPv4Network, taken: Collection[str], *, highest: bool = False) -> str:
    """The lowest address of *subnet*, or the *highest*, that is not *taken*; the first host is the bridge itself.

    Raises Refused when there is none.
    """
    hosts = range(2, subnet.num_addresses - 1)
    for number in reversed(hosts) if highest else hosts:
        if str(subnet[number]) not in taken:
            return str(subnet[number])
    raise Refused(
        _("The network {subnet} has no free address left.").format(subnet=subnet),
        hint=_("Reset the finished waves, or give network.subnet more addresses in centre.toml."),
    )


def bring_up(
    centre: Centre, environments: Sequence[Environment], start: Start, title: str, *, gently: bool = False
) -> dict[str, str]:
    """Create or start what is missing, wait until each serves, put the subject's fixtures into those that are without
    them, take each fingerprint.

    One that begins with a restore point's layer is not compared: it is what the candidate had made of the site.
    *gently* leaves the processors to those who work. Returns for each environment's name ``proved`` or a sentence that
    says what is wrong with it. One that fails does not stop the others; an engine that stops answering or a full disk
    does.
    """
    observed = centre.engine.observe([item.name for item in environments])
    steps = {step.environment: step.kind for step in plan(environments, observed)}

    def prove(environment: Environment) -> str:
        step = steps.get(environment.name)
        # One that was running already has had its time to start.
        patience = RUNNING_TIMEOUT if step is None else READY_TIMEOUT
        if step is StepKind.ALARM:
            return _("its container was deleted with a candidate's work in it")
        if step is StepKind.CREATE:
            centre.engine.create(environment, gently=gently)
        elif step is StepKind.START:
            centre.engine.start(environment.name)
        elif step is StepKind.CONFLICT:
            return _("a container named {name} exists and is not ours; it was not touched").format(
                name=environment.name
            )
        elif observed[environment.name].image != environment.image:
            # Ours, never touched, and of another image: a left-over that has this environment's name.
            centre.engine.remove(environment.name)
            centre.engine.create(environment, gently=gently)
            patience = READY_TIMEOUT
        if environment.layer is not None:
            centre.engine.ready(environment.name, patience)
            return PROVED
        try:
            there = centre.engine.fingerprint(environment.name, within=patience)
        except EnvironmentFailed as error:
            how = describe(differences(start.reference, centre.engine.fingerprint(environment.name)))
            raise EnvironmentFailed("; ".join(filter(None, [error.message, how]))) from error
        if start.fixtures is None or not differences(start.fingerprint, there):
            return compared(there)
        if differences(start.reference, there):
            # Nobody has worked in it: what an interrupted command has put into it by half, or another subject's.
            centre.engine.remove(environment.name)
            centre.engine.create(environment, gently=gently)
            centre.engine.ready(environment.name, READY_TIMEOUT)
        with _saying_nothing():
            centre.engine.load(environment.name, iter([start.fixtures]))
        return compared(centre.engine.fingerprint(environment.name))

    def compared(there: Fingerprint) -> str:
        found = differences(start.fingerprint, there)
        return PROVED if not found else describe(found, names=start.subject is None)

    return in_parallel(centre, environments, prove, title)


def fits(centre: Centre, environment: Environment, image: str, subject: str | None) -> bool:
    """Whether a standby can serve its seat with *image*: it is the reference itself with the fixtures of *subject*, at
    the seat's present address."""
    return (
        environment.image == image
        and environment.subject == subject
        and environment.layer is None
        and environment.url == centre.settings.seat_url(environment.seat)
    )


def is_as_proved(centre: Centre, environment: Environment) -> bool:
    """Whether the environment is the very process that was proved: it has not been started anew since, and nobody but
    the controller can reach it."""
    life = centre.engine.life(environment.name)
    if life is None or life.state != "running" or life.started_at is None or environment.proved_at is None:
        return False
    return life.started_at <= environment.proved_at + centre.clock.drift()


def in_parallel(
    centre: Centre, environments: Sequence[Environment], work: Callable[[Environment], str], title: str
) -> dict[str, str]:
    """*work* for each environment, a bounded number at a time; an error of one becomes its sentence."""

    def guarded(environment: Environment) -> str:
        try:
            return work(environment)
        except (EngineUnavailable, NoSpace):
            raise
        except E5BError as error:
            return error.message.rstrip(".")
        finally:
            centre.progress.step(_("seat {seat:02d}").format(seat=environment.seat))

    centre.progress.begin(title, len(environments))
    try:
        with ThreadPoolExecutor(centre.parallel) as pool:
            results = list(pool.map(guarded, environments))
    finally:
        centre.progress.end()
    return {environment.name: result for environment, result in zip(environments, results, strict=True)}


def remove(centre: Centre, environments: Sequence[Environment], title: str) -> list[str]:
    """Remove retired environments and record that they are gone; the faults of those that could not be.

    All wiping of work happens here: evidence is read once more, since an interrupted command may have left the
    environment behind long ago. One whose evidence does not hold stays.
    """

    def take_away(environment: Environment) -> str:
        # A container that is not ours under that name is somebody's business: ours is gone all the same.
        observed = centre.engine.observe([environment.name]).get(environment.name)
        if observed is not None and observed.ours:
            if not is_safe(centre, environment):
                return _("its evidence does not hold: it was not removed")
            centre.engine.remove(environment.name)
        return PROVED

    results = in_parallel(centre, environments, take_away, title)
    gone = [replace(item, role=EnvironmentRole.GONE) for item in environments if results[item.name] == PROVED]
    centre.store.save(
        *(Entry("environment.removed", seat=item.seat, data={"environment": item.name}) for item in gone),
        environments=gone,
    )
    return [f"{name}: {fault}" for name, fault in results.items() if fault != PROVED]


def describe(found: Sequence[Difference], *, names: bool = True) -> str:
    """In words: which files and tables differ, and how; without *names*, how many."""
    if not names:
        return ngettext(
            "{n} file or table is not as the subject makes it",
            "{n} files or tables are not as the subject makes them",
            len(found),
        ).format(n=len(found))
    kinds = {
        ("file", "changed"): _("file {name} added or changed"),
        ("file", "missing"): _("file {name} missing"),
        ("table", "added"): _("table {name} added"),
        ("table", "changed"): _("table {name} changed"),
        ("table", "missing"): _("table {name} missing"),
        ("image", "changed"): _("made from another image"),
    }
    named = [kinds[item.what, item.kind].format(name=item.name) for item in found[:SHOWN]]
    rest = len(found) - SHOWN
    if rest > 0:
        named.append(ngettext("{n} more difference", "{n} more differences", rest).format(n=rest))
    return ", ".join(named)


def chosen(mapping: Mapping[int, Environment], seats: Iterable[int]) -> list[Environment]:
    """The environments of *seats*, in the order of the seats; those without one are left out."""
    return [mapping[seat] for seat in sorted(seats) if seat in mapping]
