"""The reference context from the pilot academy to a centre: real files and signatures, an engine in memory."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.oci_layout import OciPackages
from orchestrator.adapters.signatures import MinisignSignatures, beside
from orchestrator.domain.exam import Site
from orchestrator.errors import (
    E5BError,
    EnvironmentFailed,
    ImageUnusable,
    NoSpace,
    NotProved,
    Refused,
    SettingsInvalid,
    SignatureInvalid,
)
from orchestrator.ports import ImageToLoad, KeyFiles, Progress, SavedImage
from orchestrator.services import context_build, context_definition, context_load
from orchestrator.services.context_build import MANIFEST, PACKAGES, Academy
from orchestrator.services.context_definition import Built, BuiltSite
from orchestrator.services.context_diff import diff
from orchestrator.services.context_load import Depot, Loaded
from orchestrator.services.context_pack import Packed, pack
from orchestrator.services.context_verify import verify
from orchestrator.settings import TrustSettings
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.fakes import Silence

PLUGINS = "/var/www/site/plugins"

SIGNATURES, PACKAGE_FILES = MinisignSignatures(), OciPackages()


def tar(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def noise(seed: str, size: int = 60_000) -> bytes:
    return b"".join(hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(size // 32))


@dataclass
class Image:
    """An image as an engine holds it."""

    layers: list[bytes]
    files: dict[str, bytes] = field(default_factory=dict)
    name: str = ""

    @property
    def config(self) -> bytes:
        chain = [digest(layer) for layer in self.layers]
        return json.dumps({"name": self.name, "rootfs": {"type": "layers", "diff_ids": chain}}).encode()

    @property
    def id(self) -> str:
        return digest(self.config)

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(digest(layer) for layer in self.layers)


class MemoryImages:
    """Whole images in memory. *dies_after* is how many images are loaded before the process is killed."""

    def __init__(self, world: fakes.World) -> None:
        self.world = world
        self.held: dict[str, Image] = {}
        self.tags: dict[str, str] = {}
        self.sent: list[str] = []
        self.dies_after = 1000

    def put(self, image: Image, site: Site | None = None) -> str:
        self.held[image.id] = image
        self.world.images[image.id] = fakes.image(image.name, site, id=image.id)
        return image.id

    def save(self, image: str, layer: Callable[[Iterator[bytes]], None]) -> SavedImage:
        if image not in self.held:
            raise ImageUnusable("no such image")
        for content in reversed(self.held[image].layers):
            layer(iter([content[:100], content[100:]]))
        return SavedImage(self.held[image].config, self.held[image].chain)

    def holding(self, diff_ids: Collection[str]) -> dict[str, str]:
        return {item: image.id for image in self.held.values() for item in image.chain if item in diff_ids}

    def present(self, chain: Sequence[str]) -> int:
        def common(image: Image) -> int:
            pairs = zip(chain, image.chain, strict=False)
            return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(chain), len(image.chain)))

        return max(map(common, self.held.values()), default=0)

    def load(self, image: ImageToLoad, progress: Progress) -> None:
        if self.dies_after == 0:
            raise KeyboardInterrupt
        self.dies_after -= 1
        known = {
            item: layer for held in self.held.values() for item, layer in zip(held.chain, held.layers, strict=True)
        }
        for diff_id, (size, parts) in image.layers.items():
            known[diff_id] = b"".join(parts())
            if digest(known[diff_id]) != diff_id or len(known[diff_id]) != size:
                raise EnvironmentFailed("invalid diffID")
            self.sent.append(diff_id)
        loaded = Image([known[item] for item in image.chain], name=json.loads(image.config)["name"])
        assert loaded.config == image.config
        site = next((site for site in Site if f"/{site.value}:" in image.name), None)
        self.tag(self.put(loaded, site), image.name)

    def tag(self, image: str, name: str) -> None:
        self.tags[name] = image
        self.world.images[name] = self.world.images[image]

    def untag(self, name: str) -> None:
        image = self.tags.pop(name, None)
        if image is not None and image not in self.tags.values():
            del self.held[image], self.world.images[image]

    def read(self, image: str, path: str) -> bytes:
        return self.held[image].files[path]


@dataclass
class Workshop:
    """A pilot academy with its keys, and what it has built."""

    folder: Path
    keys: KeyFiles
    world: fakes.World
    images: MemoryImages

    @property
    def academy(self) -> Academy:
        engine = fakes.MemoryEngine(self.world, fakes.Fuse())
        nothing: Any = None
        return Academy(engine, self.images, nothing, nothing, nothing, nothing, PACKAGE_FILES, SIGNATURES, Silence())

    def site(self, site: Site, text: str) -> Image:
        """A site whose database holds *text*, above layers that never change."""
        base = tar(etc__passwd=b"root", usr__bin__php=noise("php"))
        database = tar(var__lib__ibdata=noise(site.value, 200_000) + text.encode(), salts=noise(text, 320))
        files = {
            MANIFEST: f"f:0644:0:0:{'1' * 64}\t/var/www/site/index.php\n"
            f"f:0644:0:0:{text}\t{PLUGINS}/seo/seo.php\nd:0755:0:0\t{PLUGINS}/seo\n".encode(),
            PACKAGES: b"Package: php\nStatus: installed\nVersion: 8.2\n\nPackage: tini\nVersion: 0.19\n",
        }
        return Image([base, tar(etc__site=site.value.encode()), database], files, f"e5b/{site.value}")

    def build(self, version: str, texts: dict[Site, str], fingerprint: str | None = None) -> None:
        definition = self.folder / "context.toml"
        definition.unlink(missing_ok=True)
        context_definition.new(definition, version, "2027", {})
        text = definition.read_text(encoding="utf-8").replace("/var/www/site/modules", "/var/www/site/plugins")
        definition.write_text(
            text.replace("/var/www/site/wp-content/plugins", "/var/www/site/plugins"), encoding="utf-8"
        )
        engine = fakes.MemoryEngine(self.world, fakes.Fuse())
        images = {"gateway": self.images.put(Image([tar(bin__haproxy=noise("haproxy"))], name="e5b/gateway"))}
        sites = {}
        for site, content in texts.items():
            images[site.value] = self.images.put(self.site(site, content), site)
            known = engine.reference(site, images[site.value])
            sites[site] = BuiltSite(known, "6.8" if site is Site.WORDPRESS else "8.1.2", "fr")
        context_definition.save(
            definition, Built("2026-11-24T00:00:00+00:00", context_definition.digest(definition), images, sites)
        )

    def pack(self, name: str, since: Path | None = None) -> Packed:
        return pack(self.academy, self.folder / "context.toml", self.folder / name, self.keys.secret, "", since)


TEXTS = {Site.WORDPRESS: "Tisanes", Site.PRESTASHOP: "Boutique"}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    world = fakes.new_world()
    made = Workshop(tmp_path, SIGNATURES.new_keys(tmp_path / "keys", ""), world, MemoryImages(world))
    made.build("2027.1", TEXTS)
    return made


@pytest.fixture
def package(workshop: Workshop) -> Path:
    return workshop.pack("context-2027.1.tar").path


@pytest.fixture
def depot(lab: Lab, workshop: Workshop) -> Depot:
    trust = TrustSettings(public_key=workshop.keys.text)
    lab.settings = lab.settings.model_copy(update={"trust": trust})
    return Depot(lab.centre(), MemoryImages(lab.world), PACKAGE_FILES, SIGNATURES)


def load(depot: Depot, path: Path, base: Path | None = None, **options: Any) -> Loaded:
    before = dict(depot.images.tags), set(depot.images.held)  # type: ignore[attr-defined]
    try:
        return context_load.load(depot, path, base, **options)
    except E5BError:
        # Whatever is refused, the engine is as it was.
        assert before == (depot.images.tags, set(depot.images.held))  # type: ignore[attr-defined]
        assert not (depot.centre.settings.centre.state / "context").exists()
        raise


def images(depot: Depot) -> MemoryImages:
    assert isinstance(depot.images, MemoryImages)
    return depot.images


# The whole way


def test_what_the_academy_built_is_what_the_centre_has(workshop: Workshop, package: Path, depot: Depot) -> None:
    done = load(depot, package)
    assert done.loaded == ("gateway", "prestashop", "wordpress") and done.proved == ("prestashop", "wordpress")
    for name in done.loaded:
        image = images(depot).tags[f"e5b/{name}:current"]
        assert images(depot).held[image].layers == workshop.images.held[image].layers
    last = depot.centre.store.last(context_load.LOADED)
    assert last is not None and last.data["version"] == "2027.1"
    known = images(depot).tags["e5b/wordpress:current"]
    assert depot.centre.store.reference(known) is not None


def test_layers_that_both_sites_have_are_in_the_file_once(workshop: Workshop, package: Path) -> None:
    manifest = PACKAGE_FILES.open(package).manifest
    layers = [layer for image in manifest.images for layer in image.layers]
    assert len(layers) == 7 and len({layer.blob for layer in layers}) == 6


def test_a_dry_run_changes_nothing(package: Path, depot: Depot) -> None:
    done = load(depot, package, dry_run=True)
    assert not done.done and len(done.loaded) == 3
    assert images(depot).held == {} and depot.centre.store.last("context.load") is None


def test_loading_again_loads_nothing_and_proves_again(lab: Lab, package: Path, depot: Depot) -> None:
    load(depot, package)
    taken, sent = lab.world.references_taken, len(images(depot).sent)
    assert load(depot, package).kept == ("gateway", "prestashop", "wordpress")
    assert lab.world.references_taken == taken + 2 and len(images(depot).sent) == sent


def test_an_interrupted_load_goes_on_where_it_was(package: Path, depot: Depot) -> None:
    images(depot).dies_after = 2
    with pytest.raises(KeyboardInterrupt):
        load(depot, package)
    # Whole images, and none in use.
    assert len(images(depot).held) == 2 and not any(name.endswith(":current") for name in images(depot).tags)
    images(depot).dies_after = 1000
    done = load(depot, package)
    assert done.loaded == ("wordpress",) and done.kept == ("gateway", "prestashop")
    # The layer that the sites share was sent once.
    assert len(images(depot).sent) == 6 == len(set(images(depot).sent))


def test_the_memory_of_an_interrupted_load_is_not_that_of_a_loaded_one(package: Path, depot: Depot) -> None:
    images(depot).dies_after = 0
    with pytest.raises(KeyboardInterrupt):
        load(depot, package)
    assert depot.centre.store.last(context_load.LOADED) is None


# What is refused


def refusal(depot: Depot, path: Path, kind: type[E5BError], base: Path | None = None) -> str:
    with pytest.raises(kind) as caught:
        load(depot, path, base)
    assert images(depot).held.keys() <= set(images(depot).tags.values())
    return caught.value.message


def test_each_damage_has_a_sentence_of_its_own(workshop: Workshop, package: Path, depot: Depot, tmp_path: Path) -> None:
    content, signature = package.read_bytes(), beside(package).read_bytes()
    said = set()
    package.write_bytes(content[: len(content) // 2])
    said.add(refusal(depot, package, SignatureInvalid))
    middle = len(content) // 2
    package.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    said.add(refusal(depot, package, SignatureInvalid))
    package.write_bytes(content)
    other = SIGNATURES.new_keys(tmp_path / "other", "")
    SIGNATURES.sign(package, other.secret, "", "e5b context")
    said.add(refusal(depot, package, SignatureInvalid))
    beside(package).unlink()
    said.add(refusal(depot, package, SignatureInvalid))
    beside(package).write_bytes(signature)
    workshop.build("2027.2", TEXTS)
    load(depot, workshop.pack("newer.tar").path)
    said.add(refusal(depot, package, Refused))
    assert len(said) == 5


def test_without_a_trusted_key_nothing_is_loaded(lab: Lab, package: Path) -> None:
    with pytest.raises(SettingsInvalid):
        load(Depot(lab.centre(), MemoryImages(lab.world), PACKAGE_FILES, SIGNATURES), package)


def test_another_file_of_the_same_signer_is_no_package(workshop: Workshop, depot: Depot, tmp_path: Path) -> None:
    path = tmp_path / "bank"
    path.write_bytes(b"a bank")
    SIGNATURES.sign(path, workshop.keys.secret, "", "e5b bank")
    refusal(depot, path, SignatureInvalid)


def test_a_package_cannot_be_signed_as_another(workshop: Workshop, package: Path, depot: Depot) -> None:
    SIGNATURES.sign(package, workshop.keys.secret, "", "e5b context 2027.1\tmanifest:sha256:" + "0" * 64)
    refusal(depot, package, SignatureInvalid)


def test_two_packages_under_one_number_are_refused(workshop: Workshop, package: Path, depot: Depot) -> None:
    load(depot, package)
    workshop.build("2027.1", {**TEXTS, Site.WORDPRESS: "Infusions"})
    assert "2027.1" in refusal(depot, workshop.pack("other.tar").path, Refused)


def test_nothing_is_loaded_while_a_wave_is_open(lab: Lab, package: Path, depot: Depot) -> None:
    lab.at("open")
    refusal(depot, package, Refused)


def test_a_full_disk_is_seen_before_anything_is_loaded(lab: Lab, package: Path, depot: Depot) -> None:
    lab.world.disk_free = 10
    root = lab.settings.centre.state
    root.mkdir(parents=True, exist_ok=True)
    depot.centre.engine.facts = lambda: fakes.EngineFacts("20.10.24", "overlay2", root, False, False)  # type: ignore[method-assign]
    refusal(depot, package, NoSpace)


def test_what_is_not_the_reference_is_removed_again(
    workshop: Workshop, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workshop.pack("context.tar").path
    reference = fakes.MemoryEngine.reference

    def defective(self: fakes.MemoryEngine, site: Site, image: str) -> Any:
        found = reference(self, site, image)
        return fakes.Fingerprint("", {}, {}, "sha256:" + "0" * 64) if site is Site.WORDPRESS else found

    monkeypatch.setattr(fakes.MemoryEngine, "reference", defective)
    with pytest.raises(NotProved) as caught:
        load(depot, path)
    assert any("wordpress" in line for line in caught.value.details)
    assert depot.centre.store.last(context_load.LOADED) is None


# Deltas


@pytest.fixture
def delta(workshop: Workshop, package: Path) -> Path:
    workshop.build("2027.2", {**TEXTS, Site.WORDPRESS: "Infusions"})
    return workshop.pack("delta-2027.2.tar", since=package).path


def test_a_delta_carries_only_what_is_new(workshop: Workshop, package: Path, delta: Path, depot: Depot) -> None:
    assert delta.stat().st_size < 0.2 * package.stat().st_size
    load(depot, package)
    done = load(depot, delta)
    assert done.loaded == ("wordpress",) and done.version == "2027.2"
    image = images(depot).tags["e5b/wordpress:current"]
    assert images(depot).held[image].layers == workshop.images.held[image].layers


def test_a_delta_needs_its_base(package: Path, delta: Path, depot: Depot, tmp_path: Path) -> None:
    alone = tmp_path / "stick"
    alone.mkdir()
    for path in (delta, beside(delta)):
        path.rename(alone / path.name)
    assert "2027.1" in refusal(depot, alone / delta.name, Refused)
    assert len(load(depot, alone / delta.name, package).loaded) == 3


def test_a_base_that_lies_beside_its_delta_is_found(package: Path, delta: Path, depot: Depot) -> None:
    assert load(depot, delta).loaded == ("gateway", "prestashop", "wordpress")


def test_the_base_of_a_delta_is_that_very_package(workshop: Workshop, package: Path, delta: Path, depot: Depot) -> None:
    workshop.build("2027.1", {**TEXTS, Site.PRESTASHOP: "Magasin"})
    other = workshop.pack("other.tar").path
    refusal(depot, delta, Refused, other)
    content = bytearray(package.read_bytes())
    content[-2000] ^= 1
    package.write_bytes(content)
    refusal(depot, delta, SignatureInvalid, package)


def test_a_damaged_delta_is_refused(package: Path, delta: Path, depot: Depot) -> None:
    load(depot, package)
    content = bytearray(delta.read_bytes())
    content[3000] ^= 1
    delta.write_bytes(content)
    refusal(depot, delta, SignatureInvalid)


def test_a_delta_is_made_against_an_older_whole_package(workshop: Workshop, package: Path, delta: Path) -> None:
    workshop.build("2027.3", TEXTS)
    with pytest.raises(Refused):
        workshop.pack("third.tar", since=delta)
    workshop.build("2027.1", TEXTS)
    with pytest.raises(Refused):
        workshop.pack("third.tar", since=package)


# Packing, verifying, comparing


def test_what_was_changed_since_it_was_built_is_not_packed(workshop: Workshop, package: Path) -> None:
    definition = workshop.folder / "context.toml"
    definition.write_text(definition.read_text("utf-8").replace("2027.1", "2027.2"), encoding="utf-8")
    with pytest.raises(Refused):
        workshop.pack("other.tar")
    context_definition.record(definition).unlink()
    with pytest.raises(Refused):
        workshop.pack("other.tar")


def test_a_package_is_never_written_over(workshop: Workshop, package: Path) -> None:
    with pytest.raises(Refused):
        workshop.pack(package.name)


def test_nothing_is_left_of_a_package_that_could_not_be_made(workshop: Workshop) -> None:
    before = set(workshop.folder.iterdir())
    workshop.images.held.clear()
    with pytest.raises(ImageUnusable):
        workshop.pack("context.tar")
    assert set(workshop.folder.iterdir()) == before


def test_a_package_is_verified_without_an_engine(workshop: Workshop, package: Path) -> None:
    manifest = verify(SIGNATURES, PACKAGE_FILES, package, workshop.keys.text, Silence())
    assert manifest.version == "2027.1" and set(manifest.sites) == set(Site)


def test_what_changed_is_said_in_words(package: Path, delta: Path) -> None:
    found = diff(PACKAGE_FILES, package, delta)
    kinds = {image.name: image.kind for image in found.images}
    assert kinds == {"gateway": "same", "prestashop": "same", "wordpress": "changed"}
    (changed,) = (image for image in found.images if image.kind == "changed")
    assert [context_build.sentence(change) for change in changed.found] == ["plug-in seo: changed in 1 files"]
    assert (found.before, found.after, changed.layers) == ("2027.1", "2027.2", 1)
