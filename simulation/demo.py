"""The demonstration: whole waves of simulated candidates in front of you, through the real command line.

``python -m simulation.demo`` (``make demo``). Its centre is a folder of its own; all that it makes in the engine
carries that centre's label, and is taken away at the end. A run that was killed is finished by the next one.
"""

import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.rule import Rule
from rich.text import Text

from orchestrator import i18n, wiring
from orchestrator.adapters.docker_engine import connect
from orchestrator.cli.output import NoProgress, RichProgress, out, show_error, table
from orchestrator.domain import naming
from orchestrator.domain.exam import CANDIDATES_AT_ONCE, EnvironmentRole, Site, wave_id
from orchestrator.domain.lifecycle import FINISHED, WaveState
from orchestrator.errors import Busy, E5BError, NotProved, Refused
from orchestrator.i18n import N_, _
from orchestrator.services.centre import Centre
from orchestrator.settings import Seat, load
from simulation import NotAsExpected, candidate_for
from simulation.browser import Browser

CENTRE, ROOM = "demo", "salle-demo"
FOLDER = Path("demo-centre")
FIRST_ADDRESS, STAFF = "127.0.1.1", "127.0.0.1"
FIRST_PORT, SUBNET = 8101, "10.213.10.0/24"

AT_ONCE = 8
"""Candidates at work at the same time; more would only wait for the processors."""

PATIENCE = 300.0
"""Seconds to wait for a command that outlived the demonstration that started it, or for the supervisor's seals."""

STANDBYS_WAIT = 90.0
"""Seconds to wait for the standbys; without them the reset takes its time, which is shown as well."""

TITLES = {Site.WORDPRESS: "WordPress", Site.PRESTASHOP: "PrestaShop"}

STEPS = (
    N_("preflight"),
    N_("plan"),
    N_("prepare and prove"),
    N_("open the seats"),
    N_("candidates at work"),
    N_("a disaster undone"),
    N_("wait for the standbys"),
    N_("close"),
    N_("seal"),
    N_("reset and prove"),
    N_("look at the reset sites"),
    N_("take the old sites away"),
    N_("journal"),
    N_("clear away"),
)
"""In the order of the table of timings."""


T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """A step failed: the demonstration does not go on. The message is a sentence for a person."""


@dataclass(frozen=True)
class Work:
    """What a simulated candidate published, and where."""

    seat: Seat
    title: str
    url: str


@dataclass
class Timings:
    """Seconds of each step; *site* is None for what is done once."""

    seconds: dict[tuple[str, Site | None], float] = field(default_factory=dict)

    @contextlib.contextmanager
    def of(self, step: str, site: Site | None = None) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[step, site] = time.monotonic() - begun

    def show(self, sites: list[Site]) -> None:
        rows: list[list[str | Text]] = []
        for step in STEPS:
            columns = [self.seconds.get((step, site)) for site in (None, *sites)]
            if any(value is not None for value in columns):
                rows.append([_(step), *("" if value is None else f"{value:.1f} s" for value in columns)])
        sums = [
            sum(value for (_step, known), value in self.seconds.items() if known is site) for site in (None, *sites)
        ]
        rows.append([Text(_("total"), style="bold"), *(Text(f"{value:.1f} s", style="bold") for value in sums)])
        table([_("Step"), _("Once"), *(TITLES[site] for site in sites)], rows, title=_("Timings"))


class Demonstration:
    """One run of the demonstration in the centre of *folder*."""

    def __init__(self, folder: Path, seats: int) -> None:
        self.folder, self.file = folder, folder / "centre.toml"
        self.timings = Timings()
        self._seats = seats
        self._environment = {**os.environ, "E5B_CENTRE": str(self.file)}

    # The command line, as a person would type it

    def e5b(self, *arguments: str, accept: tuple[int, ...] = ()) -> int:
        """Run a command with its output shown. Raises Stopped unless its exit code is 0 or one of *accept*."""
        out.print(Text(f"\n$ {shlex.join(['e5b', *arguments])}", style="bold cyan"), soft_wrap=True)
        code = subprocess.run(self._command(arguments), env=self._environment, check=False).returncode
        if code and code not in accept:
            raise Stopped(
                _("`{command}` failed (exit code {code}): it says why above.").format(
                    command=shlex.join(["e5b", *arguments]), code=code
                )
            )
        return code

    def ask(self, *arguments: str) -> Any:
        """What a command answers as JSON, without showing it."""
        done = subprocess.run(
            self._command([*arguments, "--json"]), env=self._environment, check=False, capture_output=True, text=True
        )
        try:
            answer = json.loads(done.stdout)
            reason = answer["error"] if isinstance(answer, dict) and "error" in answer else None
        except ValueError:
            reason = done.stderr.strip()[-500:]
        if reason is not None:
            raise Stopped(f"`{shlex.join(['e5b', *arguments])}`: {reason}")
        return answer

    def _command(self, arguments: tuple[str, ...] | list[str]) -> list[str]:
        return [sys.executable, "-m", "orchestrator", *arguments]

    # The centre

    def settle(self) -> Centre:
        """The demonstration's centre, made once; what a killed run left is finished first."""
        new = not self.file.exists()
        if new:
            self.e5b(
                *("init", "--id", CENTRE, "--name", _("Demonstration centre"), "--room", ROOM),
                *("--seats", str(CANDIDATES_AT_ONCE), "--first-address", FIRST_ADDRESS, "--staff", STAFF),
                *("--first-port", str(FIRST_PORT), "--subnet", SUBNET),
            )
        centre = wiring.centre(load(self.file), NoProgress())
        if new:
            # A folder that was deleted leaves its environments behind; nobody else's carry this centre's label.
            clear_engine(centre)
        else:
            self.finish_what_is_left()
        return centre

    def finish_what_is_left(self) -> None:
        """Raises Stopped when a wave cannot be finished."""
        deadline = time.monotonic() + PATIENCE
        while unfinished := [wave for wave in self.ask("wave", "list") if WaveState(wave["state"]) not in FINISHED]:
            wave = unfinished[0]["id"]
            out.print(Text("\n" + _("An earlier run was interrupted: wave {wave}.").format(wave=wave), style="yellow"))
            # A command that outlived the demonstration which started it may still be at work: it ends by itself.
            for_now = (Busy.exit_code, Refused.exit_code)
            if unfinished[0]["state"] == WaveState.SEALED:
                code = self.e5b("wave", "reset", wave, accept=for_now)
            else:
                reason = _("demonstration interrupted")
                code = self.e5b("wave", "abandon", wave, "--yes", "--reason", reason, accept=for_now)
            if code:
                if time.monotonic() > deadline:
                    raise Stopped(_("Wave {wave} cannot be finished: it says why above.").format(wave=wave))
                time.sleep(2)

    def preflight(self) -> None:
        with self.timings.of("preflight"):
            if self.e5b("preflight", accept=(NotProved.exit_code,)) == 0:
                return
            failed = {check["name"] for check in self.ask("preflight")["checks"] if check["verdict"] == "failure"}
        # It asks for the room of a whole day; one wave needs a quarter, and `prepare` checks that by itself.
        if failed != {_("disk")}:
            raise Stopped(_("This machine is not ready: what to do is in the table above."))
        out.print(Text(_("There is not enough room for a day of exams; one wave is tried all the same."), "yellow"))

    @contextlib.contextmanager
    def supervised(self) -> Iterator[None]:
        """``e5b serve`` beside the demonstration, which ends with it, however it ends (setpriv(1))."""
        out.print(Text("\n$ e5b serve &", style="bold cyan"))
        with (self.folder / "serve.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._command(["serve"])],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)

    # A wave

    def wave(self, centre: Centre, site: Site) -> tuple[str, list[Work]]:
        """One whole wave on *site*: its id, and what the candidates published."""
        out.print()
        out.print(Rule(Text(TITLES[site], style="bold")))
        timed = self.timings.of
        room = centre.settings.rooms[0]
        seats = list(room.seats[: self._seats])
        half_day, number = self._next_wave(room.name)
        candidates = {seat.number: f"D{number:02d}{seat.number:02d}" for seat in seats}
        listed = self.folder / "candidats.csv"
        lines = [f"{seat};{candidate}" for seat, candidate in candidates.items()]
        listed.write_text("\n".join(["poste;candidat", *lines]) + "\n", encoding="utf-8")
        wave = wave_id(half_day, room.name, number)

        with timed("plan", site):
            self.e5b(
                *("wave", "plan", "--half-day", half_day, "--room", room.name, "--number", str(number)),
                *("--site", site.value, "--candidates", str(listed)),
            )
        with timed("prepare and prove", site):
            self.e5b("wave", "prepare", wave)
        with timed("open the seats", site):
            self.e5b("wave", "open", wave)
        with timed("candidates at work", site):
            works = self._work(centre, site, seats, candidates)
        with timed("a disaster undone", site):
            self._disaster(centre, works[0])
        with timed("wait for the standbys", site):
            self._wait(
                _("Standbys made behind the seats"),
                len(seats),
                lambda: sum(line["ready"] for line in self.ask("standby", "status")),
                STANDBYS_WAIT,
            )
        with timed("close", site):
            self.e5b("wave", "close", wave, "--early", _("demonstration"))
        with timed("seal", site):
            sealed = self._wait(
                _("Sealed by the supervisor"),
                len(seats),
                lambda: self._sealed(wave),
                PATIENCE,
            )
            if not sealed:
                raise Stopped(
                    _("Wave {wave} was not sealed: {log} says why.").format(wave=wave, log=self.folder / "serve.log")
                )
            self.e5b("evidence", "list", wave)
        with timed("reset and prove", site):
            self.e5b("wave", "reset", wave)
        with timed("look at the reset sites", site):
            self._look(centre, works)
        with timed("take the old sites away", site):
            self._wait(
                _("Old sites taken away by the supervisor"),
                len(seats),
                lambda: len(seats) - self._in_the_way(centre),
                PATIENCE,
            )
        return wave, works

    def _in_the_way(self, centre: Centre) -> int:
        """Environments that no address leads to any more."""
        roles = {EnvironmentRole.RETIRED, EnvironmentRole.NEXT}
        return sum(item.role in roles for item in centre.store.environments())

    def _sealed(self, wave: str) -> int:
        """How many seats are; all of them only once the wave is."""
        status = self.ask("wave", "status", wave)
        if status["wave"]["state"] == WaveState.SEALED:
            return len(status["seats"])
        return sum(seat["evidence"] is not None for seat in status["seats"][1:])

    def _disaster(self, centre: Centre, work: Work) -> None:
        """All that a candidate did is gone at one stroke, and back at another."""
        seat = str(work.seat.number)
        for expected, *arguments in ((False, "restore", seat, "--to", "reference"), (True, "undo", seat)):
            self.e5b("seat", *arguments, "--yes")
            staff = Browser(centre.settings.seat_url(work.seat.number), STAFF)
            try:
                if self._shows(staff, work) is not expected:
                    raise Stopped(_("Seat {seat} does not show what it should.").format(seat=seat))
            finally:
                staff.close()
        out.print(
            Text(_("What candidate {seat} had published was gone, and is there again.").format(seat=seat), "green")
        )

    def _wait(self, title: str, total: int, count: Callable[[], int], seconds: float) -> bool:
        """Show *count* grow to *total*; whether it did within *seconds*."""
        progress, deadline = RichProgress(out), time.monotonic() + seconds
        progress.begin(title, total)
        shown = 0
        try:
            while shown < total and time.monotonic() < deadline:
                found = min(total, count())
                for _step in range(found - shown):
                    progress.step("")
                shown = max(shown, found)
                time.sleep(1)
        finally:
            progress.end()
        return shown >= total

    def _next_wave(self, room: str) -> tuple[str, int]:
        """The next free wave number of this half-day, or of a later one when all its numbers are used."""
        taken = {(wave["half_day"], wave["number"]) for wave in self.ask("wave", "list") if wave["room"] == room}
        now = datetime.now()
        while True:
            half_day = f"{now:%Y-%m-%d}-{'am' if now.hour < 12 else 'pm'}"
            for number in range(1, 100):
                if (half_day, number) not in taken:
                    return half_day, number
            now += timedelta(hours=12)

    def _work(self, centre: Centre, site: Site, seats: list[Seat], candidates: dict[int, str]) -> list[Work]:
        """Every candidate logs in to the real administration from their own seat's address, and publishes."""
        account = centre.engine.describe(centre.active()[seats[0].number].name)
        out.print(Text("\n" + _("{count} candidates log in and publish…").format(count=len(seats)), style="bold cyan"))

        def work(seat: Seat) -> Work:
            title = _("Herbal tea of candidate {candidate}").format(candidate=candidates[seat.number])
            url = centre.settings.seat_url(seat.number)
            candidate = candidate_for(site, url, account["login"], account["password"], str(seat.address))
            candidate.log_in()
            return Work(seat, title, candidate.publish(title))

        works = at_once(seats, work, _("Candidates at work"))
        out.print(
            Text(
                _("{count}/{all} published, and seen on the public pages. For instance: {url}").format(
                    count=len(works), all=len(seats), url=works[0].url
                ),
                style="bold green",
            ),
            soft_wrap=True,
        )
        return works

    def _look(self, centre: Centre, works: list[Work]) -> None:
        """As the staff: each site is there, and nothing of the candidates' is."""

        def look(work: Work) -> bool:
            staff = Browser(centre.settings.seat_url(work.seat.number), STAFF)
            try:
                staff.get("/")
                return self._shows(staff, work)
            finally:
                staff.close()

        left = [
            work.seat.number
            for work, shown in zip(works, at_once(works, look, _("Looking at the reset sites")), strict=True)
            if shown
        ]
        if left:
            raise Stopped(_("What a candidate published is still there: seats {seats}.").format(seats=left))
        out.print(
            Text(_("Nothing of what was published is left: {count} sites looked at.").format(count=len(works)), "green")
        )

    def _shows(self, staff: Browser, work: Work) -> bool:
        try:
            return staff.get(work.url).shows(work.title)
        except NotAsExpected:
            # The page itself is not there any more.
            return False

    # The end

    def conclude(self, waves: dict[Site, str], works: dict[Site, list[Work]]) -> None:
        """What was proved, how long it took, where to look next."""
        out.print()
        out.print(Rule())
        self.timings.show(list(waves))
        for site, wave in waves.items():
            proved = self._proved(wave)
            out.print(
                Text(
                    _("{site}: {good}/{all} seats reset and proved equal to the reference").format(
                        site=TITLES[site], good=proved, all=len(works[site])
                    ),
                    style="bold green",
                )
            )
            if proved != len(works[site]):
                raise Stopped(_("Some seats are not proved: `e5b wave status {wave}`.").format(wave=wave))
        wave = next(iter(waves.values()))
        folder = self.folder / "state" / "evidence" / wave
        archive = min(folder.glob("*.tar.gz"))
        programs = Path(sys.executable).parent
        out.print(Text("\n" + _("Where to look next"), style="bold"))
        for what, *how in (
            (_("The evidence of each seat"), str(folder)),
            (
                _("Check one with tar and sha256sum alone"),
                f"mkdir -p /tmp/e5b && tar xzf {archive} -C /tmp/e5b && (cd /tmp/e5b && sha256sum -c SHA256SUMS)",
            ),
            (
                _("Type the commands yourself"),
                f'export PATH="{programs}:$PATH" E5B_CENTRE="{self.file.absolute()}"',
                f"e5b wave status {wave}",
                f"e5b journal show --wave {wave}",
            ),
            (_("The documentation"), "README.md", "docs/"),
        ):
            out.print(Text(f"  {what}"))
            for line in how:
                out.print(Text(f"    {line}", style="cyan"), soft_wrap=True)

    def _proved(self, wave: str) -> int:
        """How many seats the journal says were proved at the reset of *wave*."""
        lines = self.ask("journal", "show", "--wave", wave)
        return next((int(line["data"]["proved"]) for line in lines if line["action"] == "wave.reset"), 0)

    def say_what_is_kept(self, centre: Centre, site: Site) -> None:
        """The environments go on running: how to look at them."""
        seats = list(centre.settings.rooms[0].seats[: self._seats])
        account = centre.engine.describe(centre.active()[seats[0].number].name)
        url = centre.settings.seat_url(seats[0].number)
        for line in (
            _("The {site} sites go on running, from {url} to {last}.").format(
                site=TITLES[site], url=url, last=centre.settings.seat_url(seats[-1].number)
            ),
            _("Administration: {url}, account {login}, password {password}").format(
                url=url + account["admin"], login=account["login"], password=account["password"]
            ),
            _("Another run without --keep takes them away."),
        ):
            out.print(Text(f"  {line}"), soft_wrap=True)


def at_once(items: Sequence[T], work: Callable[[T], R], title: str) -> list[R]:
    """*work* for each of *items*, a bounded number at a time, with progress. Raises Stopped with every fault."""
    progress = RichProgress(out)
    faults: list[str] = []

    def guarded(item: T) -> R | None:
        try:
            return work(item)
        except NotAsExpected as fault:
            faults.append(str(fault))
            return None
        finally:
            progress.step("")

    progress.begin(title, len(items))
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(guarded, items))
    finally:
        progress.end()
    if faults:
        raise Stopped("\n".join([_("{count} of {all} failed:").format(count=len(faults), all=len(items)), *faults]))
    return [result for result in results if result is not None]


def clear_engine(centre: Centre) -> None:
    """Remove the centre's environments, its gateway with the walls around them, and its network; nothing else."""
    gateway = naming.gateway_name(centre.settings.centre.id)
    environments = [name for name in centre.engine.observe() if name != gateway]
    progress = RichProgress(out)
    progress.begin(_("Removing what the demonstration started"), len(environments))
    try:
        for name in environments:
            centre.engine.remove(name)
            progress.step(name)
        centre.gateway.remove()
        own = {"label": f"{naming.CENTRE}={centre.settings.centre.id}"}
        for network in connect().networks.list(filters=own):
            network.remove()
    finally:
        progress.end()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two demonstrations in one folder would abandon each other's waves. Raises Stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stopped(_("Another demonstration is running in {folder}.").format(folder=folder)) from None
        yield


def chosen_sites(centre: Centre, wanted: str) -> list[Site]:
    """The sites to show. One that was named must be there; PrestaShop may be missing when both were asked for."""
    sites = []
    for site in Site if wanted == "both" else [Site(wanted)]:
        image = centre.settings.sites.image(site)
        if centre.engine.image(image) is not None:
            sites.append(site)
            continue
        missing = (
            _("WordPress is left out: there is no image {image}. `e5b setup` builds it.")
            if site is Site.WORDPRESS
            else _(
                "PrestaShop is left out: there is no image {image}. Give its official release archive: "
                "E5B_PRESTASHOP_ARCHIVE=/path/prestashop_8.1.2.zip make demo"
            )
        ).format(image=image)
        if wanted != "both" or site is Site.WORDPRESS:
            raise Stopped(missing)
        out.print(Text(f"\n{missing}", style="yellow"), soft_wrap=True)
    return sites


def run(folder: Path, seats: int, wanted: str, keep: bool) -> None:
    begun = time.monotonic()
    demonstration = Demonstration(folder, seats)
    out.print(Text(_("A whole wave of {count} candidates, with the real commands.").format(count=seats), style="bold"))
    out.print(Text(_("Its centre: {file}").format(file=demonstration.file)), soft_wrap=True)
    with alone(folder):
        centre = demonstration.settle()
        sites = chosen_sites(centre, wanted)
        demonstration.preflight()
        waves, works = {}, {}
        with demonstration.supervised():
            for site in sites:
                waves[site], works[site] = demonstration.wave(centre, site)
        with demonstration.timings.of("journal"):
            demonstration.e5b("journal", "verify")
        if not keep:
            out.print()
            with demonstration.timings.of("clear away"):
                clear_engine(centre)
        demonstration.conclude(waves, works)
        if keep:
            demonstration.say_what_is_kept(centre, sites[-1])
        seconds = round(time.monotonic() - begun)
        out.print(
            Text("\n" + _("Done in {minutes} min {seconds} s.").format(minutes=seconds // 60, seconds=seconds % 60))
        )


@click.command(help=_("Run whole waves of simulated candidates in front of you."))
@click.option(
    "--seats",
    type=click.IntRange(1, CANDIDATES_AT_ONCE),
    default=CANDIDATES_AT_ONCE,
    show_default=True,
    help=_("How many candidates."),
)
@click.option(
    "--site",
    type=click.Choice([*(site.value for site in Site), "both"]),
    default="both",
    show_default=True,
    help=_("Which site; both: PrestaShop too when its image is there."),
)
@click.option("--keep", is_flag=True, help=_("Leave the environments running, to look at them."))
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help=_("Folder of the demonstration's centre; a centre.toml that is there is used as it is."),
)
def command(seats: int, site: str, keep: bool, folder: Path) -> None:
    try:
        run(folder, seats, site, keep)
    except Stopped as stopped:
        out.print(
            Text("\n" + _("The demonstration stops: {reason}").format(reason=stopped), style="bold red"), soft_wrap=True
        )
        out.print(
            Text(
                _(
                    "Put it right, then run it again: it finishes what is left. Or delete {folder} to start afresh."
                ).format(folder=folder)
            ),
            soft_wrap=True,
        )
        sys.exit(1)
    except E5BError as error:
        show_error(error, as_json=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        out.print("\n" + _("Interrupted. The next run finishes what is left."))
        sys.exit(130)


if __name__ == "__main__":
    i18n.install()
    command()
