"""The reference context from the pilot academy to a centre: real files and signatures, an engine in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.signatures import beside
from orchestrator.domain.exam import Site
from orchestrator.domain.fingerprint import Fingerprint
from orchestrator.errors import (
    E5BError,
    ImageUnusable,
    InputInvalid,
    NoSpace,
    NotProved,
    Refused,
    SettingsInvalid,
    SignatureInvalid,
)
from orchestrator.ports import EngineFacts
from orchestrator.services import context_build, context_definition, context_load
from orchestrator.services.context_diff import diff
from orchestrator.services.context_load import Depot, Loaded
from orchestrator.services.context_verify import verify
from orchestrator.settings import TrustSettings
from tests.services import fakes
from tests.services.conftest import Lab
from tests.services.context_fakes import PACKAGE_FILES, SIGNATURES, TEXTS, MemoryImages, Workshop
from tests.services.fakes import Silence

pytestmark = pytest.mark.usefixtures("in_english")


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


def test_the_sessions_rules_for_the_guard_come_with_the_context(workshop: Workshop, depot: Depot) -> None:
    """Unsigned ones are not packed; a later context without any takes them away again."""
    definition, rules = workshop.folder / "context.toml", workshop.folder / "guard"
    built = context_definition.built(definition)
    definition.write_text(
        definition.read_text(encoding="utf-8").replace('# guard = "guard"', 'guard = "guard"'), encoding="utf-8"
    )
    context_definition.save(definition, replace(built, definition=context_definition.digest(definition)))
    rules.mkdir()
    (rules / "academy.toml").write_text('[block]\nsocial = ["b.example"]\n', encoding="utf-8")
    with pytest.raises(InputInvalid, match=r"academy\.toml\.minisig"):
        workshop.pack("unsigned.tar")
    SIGNATURES.sign(rules / "academy.toml", workshop.keys.secret, "", "session 2027")
    current = depot.centre.settings.session_rules
    assert load(depot, workshop.pack("with-rules.tar").path).rules
    for name in ("academy.toml", "academy.toml.minisig"):
        assert (current / name).read_bytes() == (rules / name).read_bytes()
    workshop.build("2027.2", TEXTS)
    assert not load(depot, workshop.pack("without.tar").path).rules
    assert not current.exists()


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
    depot.centre.engine.facts = lambda: EngineFacts("20.10.24", "overlay2", root, False, False)  # type: ignore[method-assign]
    refusal(depot, package, NoSpace)


def test_what_is_not_the_reference_is_removed_again(
    workshop: Workshop, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workshop.pack("context.tar").path
    reference = fakes.MemoryEngine.reference

    def defective(self: fakes.MemoryEngine, site: Site, image: str) -> Any:
        found = reference(self, site, image)
        return Fingerprint("", {}, {}, "sha256:" + "0" * 64) if site is Site.WORDPRESS else found

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
