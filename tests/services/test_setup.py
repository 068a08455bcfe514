"""The set-up's steps over in-memory ports."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from orchestrator.cli.output import NoProgress
from orchestrator.errors import EngineUnavailable, ImageUnusable
from orchestrator.ports import Content, EngineState, Member, Outcome, Progress, ProjectImage, Supplied
from orchestrator.services.setup import Setup

MISSING = Supplied({}, missing="The release cannot be had.", hint="Set the variable.")


@dataclass
class Tree:
    digest: str = "sha256:tree"
    where: str = "/somewhere"

    def members(self) -> Iterator[Member]:
        yield from ()


RELEASE: dict[str, Content] = {"prestashop/release": Tree()}


@dataclass
class World:
    """An engine with images, a registry, a project of three images: all ports in one."""

    bases_there: set[str] = field(default_factory=lambda: {"debian:trixie-slim"})
    built: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    supplied: Supplied = field(default_factory=lambda: Supplied(RELEASE))
    engine: Outcome = Outcome.KEPT
    done: list[str] = field(default_factory=list)

    def setup(self) -> Setup:
        return Setup(_Engine(self), _Bases(self), _Supplies(self), _Builder(self), seconds=lambda: 0.0)

    def run(self) -> list[tuple[str, Outcome]]:
        return [(step.name, step.outcome) for step in self.setup().run(NoProgress())]


@dataclass
class _Engine:
    world: World

    def ensure(self, progress: Progress) -> EngineState:
        if self.world.engine is Outcome.MISSING:
            raise EngineUnavailable("No engine.")
        outcome, self.world.engine = self.world.engine, Outcome.KEPT
        return EngineState("20.10", outcome)


@dataclass
class _Bases:
    world: World

    def ensure(self, tag: str, progress: Progress) -> Outcome:
        if tag in self.world.bases_there:
            return Outcome.KEPT
        self.world.bases_there.add(tag)
        return Outcome.BOOTSTRAPPED


@dataclass
class _Supplies:
    world: World

    def find(self, image: str, progress: Progress | None = None) -> Supplied:
        return self.world.supplied if image == "prestashop" else Supplied({})


@dataclass
class _Builder:
    world: World

    def names(self) -> list[str]:
        return ["gateway", "wordpress", "prestashop"]

    def bases(self, name: str) -> list[str]:
        return ["debian:bookworm-slim" if name == "prestashop" else "debian:trixie-slim"]

    def source(self, name: str, supplied: Supplied) -> str:
        release = "".join(content.digest for content in supplied.folders.values())
        return f"sha256:{name}{self.world.files.get(name, '')}{release}"

    def current(self, name: str) -> ProjectImage | None:
        sources = self.world.built.get(name)
        return _image(name, sources[-1], "current") if sources else None

    def images(self) -> list[ProjectImage]:
        return [
            _image(name, source, "current" if source == sources[-1] else "old")
            for name, sources in self.world.built.items()
            for source in sources
        ]

    def find(self, name: str, source: str) -> bool:
        sources = self.world.built.get(name, [])
        if source not in sources:
            return False
        sources.append(sources.pop(sources.index(source)))
        return True

    def build(self, name: str, source: str, supplied: Supplied, progress: Progress, *, anew: bool = False) -> None:
        self.world.done.append(f"{name} anew" if anew else name)
        sources = self.world.built.setdefault(name, [])
        if source in sources:
            sources.remove(source)
        sources.append(source)


def _image(name: str, source: str, tag: str) -> ProjectImage:
    return ProjectImage(name, (f"e5b/{name}:{tag}",), f"id of {source}", 1, datetime(2026, 1, 1, tzinfo=UTC), source)


def test_everything_is_done_on_a_fresh_machine_and_nothing_the_second_time() -> None:
    world = World(bases_there=set(), engine=Outcome.INSTALLED)
    assert world.run() == [
        ("20.10", Outcome.INSTALLED),
        ("debian:trixie-slim", Outcome.BOOTSTRAPPED),
        ("debian:bookworm-slim", Outcome.BOOTSTRAPPED),
        ("gateway", Outcome.BUILT),
        ("wordpress", Outcome.BUILT),
        ("prestashop", Outcome.BUILT),
    ]
    assert world.run() == [
        ("20.10", Outcome.KEPT),
        ("debian:trixie-slim", Outcome.KEPT),
        ("debian:bookworm-slim", Outcome.KEPT),
        ("gateway", Outcome.FOUND),
        ("wordpress", Outcome.FOUND),
        ("prestashop", Outcome.FOUND),
    ]
    assert world.done == ["gateway", "wordpress", "prestashop"]


def test_only_what_changed_is_built_again() -> None:
    world = World()
    world.run()
    world.files["wordpress"] = "changed"
    world.done.clear()
    world.run()
    assert world.done == ["wordpress"]


def test_going_back_finds_the_image_built_before() -> None:
    world = World()
    world.run()
    world.files["wordpress"] = "changed"
    world.run()
    del world.files["wordpress"]
    world.done.clear()
    assert ("wordpress", Outcome.FOUND) in world.run()
    assert world.done == []


def test_nothing_is_tried_without_an_engine() -> None:
    world = World(engine=Outcome.MISSING)
    with pytest.raises(EngineUnavailable):
        world.run()
    assert world.done == []


def test_without_its_release_an_image_is_left_out_with_what_to_do_and_the_others_are_built() -> None:
    world = World(supplied=MISSING)
    *others, last = world.setup().run(NoProgress())
    assert (last.name, last.outcome, last.notes, last.hint) == (
        "prestashop",
        Outcome.MISSING,
        ("The release cannot be had.",),
        "Set the variable.",
    )
    assert world.done == ["gateway", "wordpress"]
    assert all(step.outcome is not Outcome.MISSING for step in others)


def test_an_image_built_before_serves_without_its_release() -> None:
    world = World()
    world.run()
    world.supplied = MISSING
    assert world.run()[-1] == ("prestashop", Outcome.KEPT)
    assert world.setup().up_to_date("prestashop") is None


def test_an_image_asked_for_by_name_must_be_built() -> None:
    world = World(supplied=MISSING)
    with pytest.raises(ImageUnusable) as raised:
        list(world.setup().build(["prestashop"], NoProgress()))
    assert raised.value.hint == "Set the variable."


def test_force_builds_anew_what_is_up_to_date() -> None:
    world = World()
    world.run()
    world.done.clear()
    steps = [(step.name, step.outcome) for step in world.setup().build(["wordpress"], NoProgress(), force=True)]
    assert steps == [("debian:trixie-slim", Outcome.KEPT), ("wordpress", Outcome.BUILT)]
    assert world.done == ["wordpress anew"]


def test_the_notes_of_what_is_supplied_are_passed_on() -> None:
    world = World(supplied=replace(Supplied(RELEASE), notes=("No language packs.",)))
    assert list(world.setup().run(NoProgress()))[-1].notes == ("No language packs.",)


def test_the_list_says_which_image_is_current_and_which_is_up_to_date() -> None:
    world = World()
    world.run()
    world.files["wordpress"] = "changed"
    world.run()
    world.files["gateway"] = "changed, not built"
    listed = [(line.image.name, line.current, line.up_to_date) for line in world.setup().images()]
    assert listed == [
        ("gateway", True, False),
        ("wordpress", False, False),
        ("wordpress", True, True),
        ("prestashop", True, True),
    ]
    assert world.setup().up_to_date("wordpress") is True
    assert world.setup().up_to_date("gateway") is False


def test_an_image_that_was_never_built_is_not_up_to_date() -> None:
    assert World().setup().up_to_date("wordpress") is False
