"""One run of the bench: what it measures with, and what its measurements share."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import docker
import psutil

from bench.centre import BenchCentre, new_centre
from bench.figures import Figure, shown
from bench.yardstick import BareLoop, Turn, Up, Yardstick, build
from orchestrator.domain.exam import CANDIDATES_AT_ONCE
from orchestrator.domain.fingerprint import Fingerprint


@dataclass
class Run:
    """*quick* measures each thing once and for a moment only: it shows that the bench works, and measures nothing."""

    client: docker.DockerClient
    centre_id: str
    images: dict[str, str]
    seats: int
    quick: bool
    figures: list[Figure] = field(default_factory=list)
    references: dict[str, Fingerprint] = field(default_factory=dict)
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @property
    def sites(self) -> Sequence[str]:
        return tuple(self.images)

    @property
    def whole(self) -> bool:
        """Targets are for twenty seats."""
        return self.seats == CANDIDATES_AT_ONCE and not self.quick

    @property
    def eager(self) -> dict[str, str]:
        """Settings with which standbys are made however busy the machine is: a quick run may share it."""
        return {"standbys.busy_percent": "100"} if self.quick else {}

    def target(self, value: float) -> float | None:
        """A target that is meant for twenty seats."""
        return value if self.whole else None

    @property
    def ways(self) -> tuple[int, ...]:
        """How the yardstick and the loop are tried: a plain loop, our own parallelism, and one place more per
        processor; their best counts."""
        ours = max(4, 2 * (psutil.cpu_count() or 1))
        return (ours,) if self.quick else (0, ours, 2 * ours)

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:6.0f} s] {text}", file=sys.stderr, flush=True)

    def add(self, *figures: Figure) -> None:
        for figure in figures:
            self.say(f"  {figure.site} {figure.name}: {shown(figure.value, figure.unit)} {figure.verdict}".rstrip())
            self.figures.append(figure)

    @contextlib.contextmanager
    def centre(
        self, seats: int | None = None, settings: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[BenchCentre]:
        """A new centre for one measurement, removed at its end. What an image's reference is was measured once, by
        the first of them, as in a real centre."""
        with new_centre(self.client, self.centre_id, seats or self.seats, settings) as centre:
            store = centre.inside().store
            if self.references:
                store.save(references=self.references)
            yield centre
            for image in self.images.values():
                image_id = str(self.client.images.get(image).id)
                known = store.reference(image_id)
                if known is not None:
                    self.references[image_id] = known

    def yardstick(self, site: str) -> list[Turn]:
        """Resets of all seats by the yardstick, in each of its ways, measured once in a run."""
        if site not in self.turns:
            self.say(f"{site}: the yardstick, from all {self.seats} seats up to all {self.seats} up again")
            build(site, self.images[site])
            turns = self.turns.setdefault(site, [])
            with Yardstick(self.client, self.centre_id, site, self.seats) as yardstick:
                if not self.quick:
                    yardstick.up(max(self.ways))
                for workers in self.ways:
                    turn = yardstick.reset(workers)
                    self.say(f"  {turn.mode}: {turn.down:.1f} s down, {turn.up.seconds:.1f} s up")
                    turns.append(turn)
        return self.turns[site]

    def with_caches(self, site: str, workers: int) -> Up:
        """The yardstick brought up with images that keep the caches that the site's own image was built with."""
        build(site, self.images[site], "keep")
        with Yardstick(self.client, self.centre_id, site, self.seats, "keep") as yardstick:
            up = yardstick.up(workers)
        self.say(f"  with the shop's caches kept, {up.mode}: {up.seconds:.1f} s")
        return up

    def best_turn(self, site: str) -> Turn:
        """The yardstick at its best, measured in this run."""
        return min(self.yardstick(site), key=lambda turn: turn.seconds)

    def loop(self, site: str, workers: int) -> Up:
        up = BareLoop(self.client, self.centre_id, self.images[site], self.seats).up(workers)
        self.say(f"  {site} bare loop, {up.mode}: {up.seconds:.1f} s")
        return up
