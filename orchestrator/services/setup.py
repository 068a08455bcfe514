"""Set up a machine: an engine, the base images, the project's images. What is there already is kept."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.errors import ImageUnusable
from orchestrator.ports import (
    BaseImages,
    EngineSetup,
    ImageBuilder,
    Outcome,
    Progress,
    ProjectImage,
    Supplied,
    Supplies,
)


@dataclass(frozen=True)
class Step:
    """A step that is over: *kind* is ``engine``, ``base`` or ``image``; *source* is what an image was built from;
    *notes* and *hint* are for people."""

    kind: str
    name: str
    outcome: Outcome
    seconds: float
    source: str | None = None
    notes: tuple[str, ...] = ()
    hint: str | None = None


@dataclass(frozen=True)
class Listed:
    """An image and whether it is what would be built now; None when that cannot be told."""

    image: ProjectImage
    current: bool
    up_to_date: bool | None


class Setup:
    def __init__(
        self,
        engine: EngineSetup,
        bases: BaseImages,
        supplies: Supplies,
        builder: ImageBuilder,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._bases = bases
        self._supplies = supplies
        self._builder = builder
        self._seconds = seconds

    def run(self, progress: Progress) -> Iterator[Step]:
        """Everything that a machine needs, step by step. An image whose release cannot be had is left out."""
        start = self._seconds()
        engine = self._engine.ensure(progress)
        yield Step("engine", engine.version, engine.outcome, self._seconds() - start)
        yield from self._images(self._builder.names(), progress, anew=False, all_or_fail=False)

    def build(self, names: Sequence[str], progress: Progress, *, force: bool = False) -> Iterator[Step]:
        """The images *names*. One that cannot be built is an error."""
        yield from self._images(names, progress, anew=force, all_or_fail=True)

    def images(self) -> list[Listed]:
        """The project's images that the engine has."""
        sources = {name: self._source_now(name) for name in self._builder.names()}
        current = {name: self._builder.current(name) for name in sources}
        listed = []
        for image in self._builder.images():
            source, now = sources[image.name], current[image.name]
            listed.append(
                Listed(
                    image,
                    current=now is not None and now.id == image.id,
                    up_to_date=None if source is None else image.source == source,
                )
            )
        return listed

    def up_to_date(self, name: str) -> bool | None:
        """Whether the current image *name* is what would be built now; None when that cannot be told."""
        current, source = self._builder.current(name), self._source_now(name)
        if source is None:
            return None
        return current is not None and current.source == source

    def _source_now(self, name: str) -> str | None:
        try:
            supplied = self._supplies.find(name)
            return None if supplied.missing else self._builder.source(name, supplied)
        except ImageUnusable:
            return None

    def _images(self, names: Sequence[str], progress: Progress, *, anew: bool, all_or_fail: bool) -> Iterator[Step]:
        for tag in dict.fromkeys(tag for name in names for tag in self._builder.bases(name)):
            start = self._seconds()
            outcome = self._bases.ensure(tag, progress)
            yield Step("base", tag, outcome, self._seconds() - start)
        for name in names:
            start = self._seconds()
            supplied = self._supplies.find(name, progress)
            if supplied.missing:
                if all_or_fail:
                    raise ImageUnusable(supplied.missing, hint=supplied.hint)
                yield self._left_out(name, supplied, self._seconds() - start)
                continue
            yield self._image(name, supplied, progress, anew)

    def _image(self, name: str, supplied: Supplied, progress: Progress, anew: bool) -> Step:
        start = self._seconds()
        source = self._builder.source(name, supplied)
        if not anew and self._builder.find(name, source):
            outcome = Outcome.FOUND
        else:
            self._builder.build(name, source, supplied, progress, anew=anew)
            outcome = Outcome.BUILT
        return Step("image", name, outcome, self._seconds() - start, source, supplied.notes)

    def _left_out(self, name: str, supplied: Supplied, seconds: float) -> Step:
        missing = supplied.missing or ""
        if self._builder.current(name) is not None:
            # Built before, or brought from another machine: it serves, and its sources cannot be compared.
            return Step("image", name, Outcome.KEPT, seconds, notes=(missing,))
        return Step("image", name, Outcome.MISSING, seconds, notes=(missing,), hint=supplied.hint)
