"""Evidence for a year, on the real engine: checked, sealed again, carried away, shown to a jury on another machine."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import requests

from bench.centre import free_ports
from simulation import candidate_for
from tests.e2e.conftest import RealCentre

WORK = "Tisane du jury 4127"

SEAT, STAFF, HERE = "127.0.1.1", "127.0.2.1", "127.0.0.1"


def sealed_wave(centre: RealCentre, site: str) -> tuple[str, str]:
    """A wave that is sealed and reset, in which candidate A101 has published something: its id, the page's path."""
    wave = centre.plan(site)
    centre.e5b("wave", "prepare")
    centre.e5b("wave", "open")
    account = centre.account(1)
    candidate = candidate_for(site, centre.url(1), account["login"], account["password"], centre.address(1))
    candidate.log_in()
    page = candidate.publish(WORK).removeprefix(centre.url(1))
    centre.e5b("wave", "close", "--early", "test")
    centre.e5b("wave", "seal")
    centre.e5b("wave", "reset")
    return wave, page


def archive(centre: RealCentre, wave: str, name: str) -> Path:
    return centre.folder / "state/evidence" / wave / name


def choose_port(centre: RealCentre) -> str:
    """The jury's address on this centre."""
    port = free_ports(1)
    settings = centre.folder / "centre.toml"
    text, changed = re.subn(r"(?<=^port = )8099$", str(port), settings.read_text(), flags=re.MULTILINE)
    settings.write_text(text if changed else f"{text}\n[evidence]\nport = {port}\n")
    return f"http://127.0.0.1:{port}"


def test_verified_sealed_again_and_exported(make_centre: Callable[..., RealCentre]) -> None:
    """What is cut short, altered or gone is found, sealed again from its layer with the same fingerprint, and what is
    carried away is checked by sha256sum alone."""
    centre = make_centre(2)
    wave, _page = sealed_wave(centre, "wordpress")
    listed = centre.json("evidence", "list", wave)
    assert [(item["archive_there"], item["layer_there"]) for item in listed] == [(True, True)] * 2
    assert centre.json("evidence", "verify")["holds"] is True

    first, second = archive(centre, wave, "poste-01-1.tar.gz"), archive(centre, wave, "poste-02-1.tar.gz")
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) * 2 // 3])
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 1
    second.write_bytes(content)
    refused = centre.e5b("evidence", "verify", code=10)
    assert f"{wave} 01" in refused and f"{wave} 02" in refused and "--repair" in refused
    stick = centre.folder / "stick"
    stick.mkdir()
    assert "poste-01-1.tar.gz" in centre.e5b("evidence", "export", str(stick), code=10)
    assert list(stick.rglob("*.tar.gz")) == []

    repaired = centre.e5b("evidence", "verify", "--repair")
    assert "poste-01-2.tar.gz" in repaired and "poste-02-2.tar.gz" in repaired
    assert centre.json("evidence", "verify")["holds"] is True
    assert first.with_name("poste-01-1.tar.gz.damaged").read_bytes() == whole[: len(whole) * 2 // 3]
    assert not first.exists()
    unpacked = centre.folder / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", archive(centre, wave, "poste-01-2.tar.gz"), "-C", unpacked], check=True)
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["repaired_from"]["fingerprint_compared_with"] == "journal"
    assert WORK in (unpacked / "database.sql").read_text(errors="replace")
    centre.client.images.get(f"e5b-evidence/{centre.id}:{wave}-01-1")
    assert [item.name for item in centre.containers() if "repair" in item.name] == []

    # A third time, with the file gone.
    archive(centre, wave, "poste-02-2.tar.gz").unlink()
    centre.e5b("evidence", "verify", wave, "--seat", "2", code=10)
    assert "poste-02-3.tar.gz" in centre.e5b("evidence", "verify", wave, "--seat", "2", "--repair")

    assert "2 archives copied" in centre.e5b("evidence", "export", str(stick), wave)
    assert "0 archives copied" in centre.e5b("evidence", "export", str(stick))
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=stick, check=True)
    assert {str(path.relative_to(stick)) for path in stick.rglob("*") if path.is_file()} == {
        *("SHA256SUMS", "LISEZ-MOI.txt", "manifest.json", "journal.jsonl"),
        *(f"{wave}/poste-01-2.tar.gz", f"{wave}/poste-02-3.tar.gz"),
    }
    # The archive's digest on the stick is the one that the journal's line gives.
    lines = [json.loads(line) for line in (stick / "journal.jsonl").read_text().splitlines()]
    on_stick = json.loads((stick / "manifest.json").read_text())["archives"]
    sealed = {line["data"]["sha256"] for line in lines if line["action"] == "evidence.repaired"}
    assert {item["sha256"] for item in on_stick} <= sealed

    # Without the layer the archive is enough; without both nothing is left, and that is said.
    for tag in (f"{wave}-01-1", f"{wave}-02-1"):
        centre.client.images.remove(f"e5b-evidence/{centre.id}:{tag}")
    assert "gone from the engine" in centre.e5b("evidence", "verify")
    archive(centre, wave, "poste-02-3.tar.gz").unlink()
    assert "nothing is left to seal it again from" in centre.e5b("evidence", "verify", "--repair", code=10)
    assert "the chain holds" in centre.e5b("journal", "verify")


def test_shown_to_a_jury_on_another_machine(make_centre: Callable[..., RealCentre], site: str) -> None:
    """From the archive alone: proved, looked at by the staff, the account logs in, nothing can be changed, no seat sees
    it; the waves of that machine go on beside it."""
    exam = make_centre(2)
    wave, page = sealed_wave(exam, site)
    jury = make_centre(1)
    url = choose_port(jury)
    copy = jury.folder / "poste-01-1.tar.gz"
    copy.write_bytes(archive(exam, wave, "poste-01-1.tar.gz").read_bytes())

    shown = jury.json("evidence", "open", str(copy))
    assert (shown["proved"], shown["url"], shown["sealed"]["candidate"]) == (True, url, "A101")
    assert shown["sealed"]["recorded"] is False

    def get(path: str, address: str = STAFF) -> requests.Response:
        with jury.session(address) as session:
            return session.get(url + path, timeout=30)

    for address in (STAFF, HERE):
        found = get(page, address)
        assert found.status_code == 200 and WORK in found.text
        assert f'href="{url}/' in found.text and exam.url(1) not in found.text
    assert get(page, SEAT).status_code == 403
    assert get(page, "127.0.3.3").status_code == 403

    with jury.session(STAFF) as session:
        # As the log-in page of each does it.
        session.get(shown["admin"], timeout=30)
        form = {
            "wordpress": (
                "/wp-login.php",
                {"log": shown["login"], "pwd": shown["password"], "wp-submit": "x", "testcookie": "1"},
            ),
            "prestashop": (
                "/gestion/index.php?rand=1795000000000",
                {
                    **{"ajax": "1", "token": "", "controller": "AdminLogin", "submitLogin": "1"},
                    **{"email": shown["login"], "passwd": shown["password"], "redirect": "", "stay_logged_in": "0"},
                },
            ),
        }[site]
        session.post(url + form[0], data=form[1], timeout=30)
        office = session.get(url + {"wordpress": "/wp-admin/", "prestashop": "/gestion/"}[site], timeout=60)
        assert office.status_code == 200
        assert "AdminLogin" not in office.url and "wp-login" not in office.url
        for path in (
            "/",
            "/wp-admin/admin-ajax.php",
            "/gestion/index.php?controller=AdminProducts&token=x",
            form[0] + "/x",
        ):
            refused = session.post(url + path, data={"x": "1"}, timeout=30)
            assert refused.status_code == 403 and "sealed" in refused.text
        for method in ("PUT", "DELETE", "PATCH"):
            assert session.request(method, url + form[0], timeout=30).status_code == 403

    # A wave on the same machine takes no notice of it.
    jury.plan(site)
    jury.e5b("wave", "prepare")
    jury.e5b("wave", "open")
    assert jury.get(1).status_code == 200
    assert "-jury" not in jury.e5b("preflight")
    jury.e5b("wave", "abandon", "--reason", "test", "--yes")
    assert get(page).status_code == 200

    assert "Add --yes" in jury.e5b("evidence", "open", str(copy), code=6)
    again = jury.json("evidence", "open", str(copy), "--yes")
    assert again["proved"] is True
    jury.e5b("evidence", "close")
    assert [item.name for item in jury.containers() if "jury" in item.name] == []
    assert "No sealed site" in jury.e5b("evidence", "close")
    actions = [line["action"] for line in jury.json("journal", "show")]
    assert [name for name in actions if name.startswith("evidence.")] == [
        *("evidence.opened", "evidence.opened", "evidence.closed")
    ]


def test_what_cannot_be_shown(make_centre: Callable[..., RealCentre], tmp_path: Path) -> None:
    """A damaged archive, one whose image is not here, a port that is taken: refused, said, and nothing left behind."""
    centre = make_centre(1)
    choose_port(centre)
    wave, _page = sealed_wave(centre, "wordpress")
    path = archive(centre, wave, "poste-01-1.tar.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert "does not hold" in centre.e5b("evidence", "open", str(path), code=10)
    path.write_bytes(whole)

    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["tar", "xzf", path, "-C", other], check=True)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "centre": "elsewhere", "image": "sha256:" + "0" * 64}))
    members = ["database.sql", "deleted", "files", "manifest.json"]
    subprocess.run(["tar", "czf", tmp_path / "elsewhere.tar.gz", "-C", other, *members], check=True)
    elsewhere = ("evidence", "open", str(tmp_path / "elsewhere.tar.gz"))
    assert "docker load" in centre.e5b(*elsewhere, code=9)
    assert [item.name for item in centre.containers() if "jury" in item.name] == []
    text = centre.e5b(*elsewhere, "--image", "e5b/wordpress:current", "--host", "localhost")
    assert "http://localhost:" in text

    shown = centre.json("evidence", "open", "--wave", wave, "--seat", "1", "--yes")
    assert shown["sealed"]["recorded"] is True and shown["proved"] is True
    centre.e5b("evidence", "close")
    with subprocess.Popen(
        ["python3", "-m", "http.server", "--bind", "0.0.0.0", shown["url"].rpartition(":")[2]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=other,
    ) as squatter:
        try:
            while requests.get(shown["url"], timeout=5).status_code != 200:
                pass
        except requests.ConnectionError:
            pass
        assert "is in use" in centre.e5b("evidence", "open", str(path), code=8)
        squatter.terminate()
    assert [item.name for item in centre.containers() if "jury" in item.name] == []


def test_younger_than_a_year_is_not_purged(make_centre: Callable[..., RealCentre]) -> None:
    """Whatever is asked for."""
    centre = make_centre(1)
    sealed_wave(centre, "wordpress")
    assert "kept one year" in centre.e5b("evidence", "purge", "--older-than", "364d", "--yes", code=6)
    assert "Nothing was sealed before" in centre.e5b("evidence", "purge", "--older-than", "1y", "--yes")
    assert centre.json("evidence", "verify")["holds"] is True
