"""Building a context from its definition: what is supplied, what comes out, and the second build."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.exam import Site
from orchestrator.errors import ImageUnusable, InputInvalid, NotProved, Refused
from orchestrator.ports import Content, Member, Outcome, Progress, ProjectImage, Supplied
from orchestrator.services import context_definition
from orchestrator.services.context_build import Academy, build, new_definition
from orchestrator.services.setup import Setup, Step
from tests.services import fakes
from tests.services.context_fakes import TEXTS, MemoryImages, Workshop, digest

DIGEST = digest(b"release")


@dataclass
class Archive:
    digest: str = DIGEST
    where: str = "/archives/release.zip"

    def members(self) -> Iterator[Member]:
        yield from ()


@dataclass
class Supplies:
    """What the operator gives to PrestaShop."""

    folders: dict[str, Content] = field(default_factory=lambda: {"prestashop/release": Archive()})
    missing: str | None = None

    def find(self, image: str, progress: Progress | None = None) -> Supplied:
        return Supplied(self.folders, self.missing) if image == "prestashop" else Supplied({})


@dataclass
class Builder:
    """Builds sites that hold *texts*, under names of its own *repository*."""

    workshop: Workshop
    texts: dict[Site, str]
    repository: str
    made: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        return ["gateway", "wordpress", "prestashop"]

    def bases(self, name: str) -> list[str]:
        return []

    def source(self, name: str, supplied: Supplied) -> str:
        return f"sha256:{name}"

    def current(self, name: str) -> ProjectImage | None:
        if name not in self.made:
            return None
        tags = (f"{self.repository}/{name}:current",)
        return ProjectImage(name, tags, self.made[name], 1, datetime.now(UTC), None)

    def images(self) -> Sequence[ProjectImage]:
        return []

    def find(self, name: str, source: str) -> bool:
        return False

    def build(self, name: str, source: str, supplied: Supplied, progress: Progress, *, anew: bool = False) -> None:
        site = Site(name) if name in set(Site) else None
        image = self.workshop.site(site or Site.WORDPRESS, self.texts[site] if site else name)
        self.made[name] = self.workshop.images.put(replace(image, name=f"{self.repository}/{name}"), site)
        self.workshop.images.tag(self.made[name], f"{self.repository}/{name}:current")


@dataclass
class Place:
    definition: Path
    academy: Academy
    images: MemoryImages

    def build(self, **options: Any) -> list[Step]:
        return list(build(self.academy, self.definition, **options))


Make = Callable[..., Place]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(second: dict[Site, str] | None = None, supplies: Supplies | None = None) -> Place:
        world = fakes.new_world()
        nothing: Any = None
        workshop = Workshop(tmp_path, nothing, world, MemoryImages(world))
        supplies = supplies or Supplies()
        builder = Builder(workshop, TEXTS, "e5b")
        academy = replace(
            workshop.academy,
            setup=Setup(nothing, nothing, supplies, builder, seconds=lambda: 0.0),
            builder=builder,
            again=Builder(workshop, second or TEXTS, "e5b-again"),
            supplies=supplies,
        )
        definition = tmp_path / "context.toml"
        if not definition.exists():
            new_definition(Supplies(), definition, "2027.1", "2027")
        return Place(definition, academy, workshop.images)

    return make


def test_what_was_built_is_on_record(make: Make) -> None:
    site = make()
    assert [(step.name, step.outcome) for step in site.build()] == [
        (name, Outcome.BUILT) for name in ("gateway", "wordpress", "prestashop")
    ]
    built = context_definition.built(site.definition)
    assert set(built.images) == {"gateway", "wordpress", "prestashop"} and set(built.sites) == set(Site)
    assert all(item.twice is None and item.version == "6.8" for item in built.sites.values())


def test_two_equal_builds_are_said_to_be_equal_and_leave_nothing(make: Make) -> None:
    site = make()
    site.build(twice=True)
    assert all(item.twice for item in context_definition.built(site.definition).sites.values())
    assert not [name for name in site.images.tags if name.startswith("e5b-again")]


def test_what_differs_in_a_second_build_is_a_failure_with_its_name(make: Make) -> None:
    site = make({**TEXTS, Site.PRESTASHOP: "Magasin"})
    with pytest.raises(NotProved) as caught:
        site.build(twice=True)
    assert any("/var/www/site/plugins/seo/seo.php" in line for line in caught.value.details)
    assert not [name for name in site.images.tags if name.startswith("e5b-again")]
    with pytest.raises(Refused):
        context_definition.built(site.definition)


def test_what_the_definition_names_may_differ(make: Make) -> None:
    site = make({**TEXTS, Site.PRESTASHOP: "Magasin"})
    text = site.definition.read_text(encoding="utf-8")
    heading = "[sites.prestashop.varies]\n"
    varies = f'{heading}"/var/www/site/plugins/*" = "drawn at each build"\n'
    site.definition.write_text(text.replace(heading, varies), encoding="utf-8")
    site.build(twice=True)
    built = context_definition.built(site.definition).sites[Site.PRESTASHOP]
    assert built.twice is False and built.varied == {"/var/www/site/plugins/*": 1}


@pytest.mark.parametrize("folders", [{"prestashop/release": Archive(digest(b"other"))}, {"more": Archive()}])
def test_another_archive_than_the_definition_names_is_refused(make: Make, folders: dict[str, Content]) -> None:
    site = make(supplies=Supplies({**Supplies().folders, **folders}))
    with pytest.raises(ImageUnusable) as caught:
        site.build()
    assert len(caught.value.details) == 1
    assert not site.images.held


def test_an_archive_that_is_not_there_is_said_before_anything_is_built(make: Make) -> None:
    site = make(supplies=Supplies({}, "The release cannot be had."))
    with pytest.raises(ImageUnusable):
        site.build()
    assert not site.images.held


def test_another_version_than_the_definition_wants_is_refused(make: Make) -> None:
    site = make()
    text = site.definition.read_text(encoding="utf-8")
    site.definition.write_text(text.replace('version = ""', 'version = "9.9"', 1), encoding="utf-8")
    with pytest.raises(ImageUnusable):
        site.build()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = ",
        'version = "one"\nsession = ""\n[sites]\n',
        'version = "1"\nsession = "2027"\n[sites.drupal]\n',
        'version = "1"\nsession = "2027"\nother = 1\n[sites.wordpress]\n[archives]\n"a" = "md5:1"\n',
    ],
)
def test_a_definition_with_faults_is_refused_with_all_of_them(tmp_path: Path, text: str) -> None:
    path = tmp_path / "context.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputInvalid):
        context_definition.load(path)


def test_a_definition_is_never_written_over(make: Make) -> None:
    site = make()
    with pytest.raises(Refused):
        new_definition(Supplies(), site.definition, "2027.2", "2027")
