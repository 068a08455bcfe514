"""Whole waves through the command line: real engine, real sites, real gateway."""

import json
import subprocess
import tarfile
from collections.abc import Callable

import pytest

from simulation import candidate_for
from tests.e2e.conftest import RealCentre, eventually

SITE_TEXT = {"wordpress": "Clos Verdier", "prestashop": "Clos Verdier"}


def test_a_wave_from_plan_to_reset(make_centre: Callable[..., RealCentre], site: str) -> None:
    """Prepare, open, work, close, seal, reset, prove: what each person may see at each moment, and what is left."""
    centre = make_centre(3)
    wave = centre.plan(site)
    assert centre.json("wave", "prepare")["wave"]["state"] == "prepared"
    assert [place["proof"] for place in centre.json("wave", "status")["wave"]["places"]] == ["proved"] * 3

    # Before the opening: the page that says so for the seat, the site for the staff, nothing for anybody else.
    assert centre.get(1).status_code == 503
    assert SITE_TEXT[site] in centre.get(1, address="127.0.2.1").text
    assert centre.get(1, address="127.0.3.3").status_code == 403

    centre.e5b("wave", "open")
    for seat in (1, 2, 3):
        page = centre.get(seat)
        assert page.status_code == 200
        assert SITE_TEXT[site] in page.text
        # The site knows its own address, and no other.
        assert f'href="{centre.url(seat)}/' in page.text
        assert all(centre.url(other) not in page.text for other in {1, 2, 3} - {seat})
    assert centre.get(2, address=centre.address(1)).status_code == 403

    # A candidate works through the real administration.
    account = centre.account(1)
    candidate = candidate_for(site, centre.url(1), account["login"], account["password"], centre.address(1))
    candidate.log_in()
    candidate.publish("Tisane du soir 7319")
    assert "already open" in centre.e5b("wave", "open", code=6)
    assert "still have time" in centre.e5b("wave", "close", code=6)
    assert "still have" not in centre.e5b("wave", "close", "--early", "test")

    over = centre.get(1)
    assert over.status_code in {403, 410}
    assert "not sealed yet" in centre.e5b("wave", "reset", code=6)

    sealed = centre.json("wave", "seal")
    assert len(sealed["evidence"]) == 3
    archive = centre.folder / "state/evidence" / sealed["evidence"][0]["archive"]
    check_like_a_third_party(archive, centre)
    assert sealed["evidence"][0]["size"] < 40e6

    before = {container.name for container in centre.containers()}
    assert "would be replaced" in centre.e5b("wave", "reset", "--dry-run")
    assert {container.name for container in centre.containers()} == before
    report = centre.json("wave", "reset")
    assert [seat["fault"] for seat in report["seats"]] == [None] * 3
    assert report["wave"]["state"] == "reset"
    after = {container.name for container in centre.containers()}
    assert len(after) == len(before)
    assert len(after & before) == 1, "only the gateway stays"
    assert "Tisane du soir 7319" not in centre.get(1, address="127.0.2.1").text
    assert centre.get(1).status_code == 503

    # The seats are ready for the next wave: the same environments serve it, proved again.
    second = centre.plan(site, number=2)
    assert second != wave
    centre.e5b("wave", "prepare")
    assert {container.name for container in centre.containers()} == after
    assert "the chain holds" in centre.e5b("journal", "verify")
    actions = [line["action"] for line in centre.json("journal", "show", "--wave", wave)]
    assert [name for name in actions if name.startswith("wave.")] == [
        *("wave.planned", "wave.prepare", "wave.prepared", "wave.open", "wave.opened", "wave.close", "wave.closed"),
        *("wave.seal", "wave.sealed", "wave.reset_begun", "wave.reset"),
    ]


def check_like_a_third_party(archive, centre: RealCentre) -> None:
    """With tar and sha256sum alone; and the candidate's work is in it."""
    folder = centre.folder / "third-party"
    folder.mkdir()
    subprocess.run(["tar", "xzf", archive, "-C", folder], check=True)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["candidate"] == "A101"
    assert manifest["site"]["version"]
    assert "password" not in manifest["site"]
    assert "Tisane du soir 7319" in (folder / "database.sql").read_text(errors="replace")
    with tarfile.open(archive) as opened:
        assert "manifest.json" in opened.getnames()


def test_what_differs_is_named_and_stays_closed(make_centre: Callable[..., RealCentre], site: str) -> None:
    """A site that is not the reference is found before the opening, with what differs; a new one replaces it."""
    centre = make_centre(2)
    centre.plan(site)
    centre.e5b("wave", "prepare")
    code, _text = centre.run_in(2, "sh", "-c", "echo '// changed' >> /var/www/site/index.php")
    assert code == 0
    refused = centre.json("wave", "prepare", code=5)
    assert refused["details"] == ["02: file /var/www/site/index.php added or changed"]
    assert "02: file /var/www/site/index.php" in centre.e5b("wave", "open", code=5)
    centre.e5b("seat", "reset", "2")
    centre.e5b("wave", "open")
    assert centre.get(2).status_code == 200


def test_open_without_a_seat(make_centre: Callable[..., RealCentre]) -> None:
    """A seat that is left out stays closed; an absent candidate's too; neither needs evidence."""
    centre = make_centre(3)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("seat", "absent", "3")
    assert centre.run_in(2, "sh", "-c", "echo '// x' >> /var/www/site/index.php")[0] == 0
    centre.e5b("wave", "prepare", code=5)
    centre.e5b("wave", "open", "--leave-out", "9", code=13)
    centre.e5b("wave", "open", "--leave-out", "2")
    assert [centre.get(seat).status_code for seat in (1, 2, 3)] == [200, 503, 503]
    centre.e5b("wave", "close", "--early", "test")
    assert len(centre.json("wave", "seal")["evidence"]) == 1
    report = centre.json("wave", "reset")
    assert [(seat["seat"], seat["fault"]) for seat in report["seats"]] == [(1, None), (2, None), (3, None)]


def test_evidence_before_wiping(make_centre: Callable[..., RealCentre]) -> None:
    """A flipped byte in an archive stops the reset; sealing again from the untouched environment lets it go on."""
    centre = make_centre(2)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    centre.e5b("wave", "close", "--early", "test")
    sealed = centre.json("wave", "seal")
    archive = centre.folder / "state/evidence" / sealed["evidence"][1]["archive"]
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    before = {container.id for container in centre.containers()}
    assert "seat 02" in centre.e5b("wave", "reset", code=10)
    assert {container.id for container in centre.containers()} == before
    centre.e5b("seat", "seal", "2")
    centre.e5b("wave", "reset")


def test_reset_of_one_seat_during_the_wave(make_centre: Callable[..., RealCentre]) -> None:
    """One teacher, one button: what was done is sealed, the candidate goes on in a proved new site."""
    centre = make_centre(2)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    first = centre.container(1).name
    assert "Add --yes" in centre.e5b("seat", "reset", "1", code=6)
    assert "would be sealed, then replaced" in centre.e5b("seat", "reset", "1", "--dry-run")
    answer = centre.json("seat", "reset", "1", "--yes")
    assert answer["evidence"]["environment"] == first
    assert centre.container(1).name != first
    assert centre.get(1).status_code == 200
    centre.e5b("wave", "close", "--early", "test")
    assert [(item["seat"], item["attempt"]) for item in centre.json("wave", "seal")["evidence"]] == [
        (1, 1),
        (1, 2),
        (2, 1),
    ]
    centre.e5b("wave", "reset")


def test_the_clock_closes_and_seals(make_centre: Callable[..., RealCentre]) -> None:
    """`e5b serve` alone ends a wave: the gateway shuts when the time is over, and the evidence is there."""
    centre = make_centre(2)
    wave = centre.plan(minutes=0.1)
    centre.e5b("wave", "prepare")
    clock = centre.start("serve", "--json")
    try:
        centre.e5b("wave", "open")
        assert centre.get(1).status_code == 200
        assert eventually(lambda: centre.get(1).status_code in {403, 410}, 10)
        assert eventually(lambda: centre.json("wave", "list")[0]["state"] == "sealed", 60)
    finally:
        clock.terminate()
        out, err = clock.communicate(timeout=30)
    assert clock.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events if event["about"] == wave] == ["closed", "sealed"]
    centre.e5b("wave", "reset")


def test_deleted_by_hand(make_centre: Callable[..., RealCentre]) -> None:
    """A container of ours that somebody deleted: made again before the opening; alarm and typed waiver after it."""
    centre = make_centre(2)
    centre.plan()
    centre.e5b("wave", "prepare")
    centre.container(1).remove(force=True)
    assert "its environment has stopped" in centre.e5b("wave", "open", code=5)
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    centre.container(2).remove(force=True)
    assert "missing" in centre.e5b("seat", "status", "2")
    centre.e5b("wave", "close", "--early", "test")
    assert "is not there any more" in centre.e5b("wave", "seal", code=10)
    centre.e5b("wave", "reset", code=6)
    waiver = ("wave", "seal", "--waive", "2", "--reason", "supprimé par erreur")
    assert "Type exactly" in centre.e5b(*waiver, code=6)
    centre.e5b(*waiver, "--confirm", "seat 2 without evidence")
    centre.e5b("wave", "reset")
    assert "seat.evidence_waived" in centre.e5b("journal", "show")


def test_somebody_elses_container_is_never_touched(make_centre: Callable[..., RealCentre]) -> None:
    """A container that has an environment's name and not our label: named, left as it is, the other seats prepared."""
    centre = make_centre(2)
    centre.plan()
    foreign = centre.client.containers.create(
        "e5b/gateway:current", name=f"e5b-{centre.id}-poste-01-g1", command="true"
    )
    try:
        refused = centre.json("wave", "prepare", code=5)
        assert "is not ours" in refused["details"][0]
        assert len(refused["details"]) == 1
        foreign.reload()
        assert foreign.status == "created"
        assert "seat 01" in centre.e5b("wave", "open", code=5)
    finally:
        foreign.remove(force=True)
    centre.e5b("wave", "prepare")


@pytest.mark.parametrize("addressing", ["host"])
def test_addressed_by_host_name(make_centre: Callable[..., RealCentre], site: str, addressing: str) -> None:
    """One port, one name per seat: the site's links and redirections carry that name."""
    centre = make_centre(2, "--addressing", addressing, "--domain", "e5b.test")
    settings = centre.folder / "centre.toml"
    settings.write_text(settings.read_text().replace("port = 80\n", f"port = {centre.first_port}\n"))
    centre.plan(site)
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    own = f"poste-01.e5b.test:{centre.first_port}"
    page = centre.get(1, headers={"Host": own})
    assert page.status_code == 200
    assert f'href="http://{own}/' in page.text
    with centre.session(centre.address(1)) as session:
        foreign = session.get(centre.url(1), headers={"Host": f"poste-02.e5b.test:{centre.first_port}"}, timeout=30)
    assert foreign.status_code == 403
    admin = centre.account(1)["admin"]
    redirected = centre.get(1, admin.rstrip("/"), headers={"Host": own}, allow_redirects=False)
    if redirected.is_redirect:
        assert redirected.headers["Location"].startswith((f"http://{own}/", "/"))
