"""The guard's lists as files: the cases of tests/cases/policy, what the academy signs, and the project's own lists."""

import hashlib
import io
import json
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.policy_files import FolderPolicyFiles
from orchestrator.adapters.signatures import MinisignSignatures, beside
from orchestrator.domain.guard import SESSION_RULES, Category, Origin, Rule, merge
from orchestrator.errors import InputInvalid, SignatureInvalid
from orchestrator.ports import KeyFiles, PolicyLists
from orchestrator.services.guard_lint import lint

CASES = Path(__file__).parents[1] / "cases/policy"
GOOD = json.loads((CASES / "good.json").read_text(encoding="utf-8"))
BAD = json.loads((CASES / "bad.json").read_text(encoding="utf-8"))
VERDICTS = json.loads((CASES / "verdicts.json").read_text(encoding="utf-8"))
PROJECT = Path(__file__).parents[2] / "policy"
SIGNATURES = MinisignSignatures()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E5B_LANG", "en")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The centre's own folder."""
    made = tmp_path / "own"
    made.mkdir()
    return made


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return SIGNATURES.new_keys(tmp_path / "keys", "")


def write(folder: Path, files: Mapping[str, Any]) -> None:
    for name, content in files.items():
        if isinstance(content, str):
            (folder / name).write_bytes(content.encode())
        elif "encoding" in content:
            (folder / name).write_bytes(content["text"].encode(content["encoding"]))
        else:
            with tarfile.open(folder / name, "w:gz") as archive:
                for member, text in content["ut1"].items():
                    info = tarfile.TarInfo(member)
                    info.size = len(text.encode())
                    archive.addfile(info, io.BytesIO(text.encode()))


def read(
    folder: Path | None, key: str | None = None, project: Path = PROJECT, session: Path = Path("/nowhere")
) -> PolicyLists:
    return FolderPolicyFiles(project, session, folder, SIGNATURES, key).read()


def beyond_the_projects(lists: PolicyLists) -> list[Rule]:
    return [rule for rule in lists.rules if rule.origin is not Origin.PROJECT]


def told(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "")


@pytest.mark.parametrize("case", GOOD, ids=[case["what"] for case in GOOD])
def test_a_list_is_taken_whole(case: dict[str, Any], folder: Path) -> None:
    write(folder, case["files"])
    lists = read(folder)
    rules = beyond_the_projects(lists)
    assert [f"{rule.name} {rule.category} {told(rule.place, folder)}" for rule in rules] == case["rules"]
    assert [told(note, folder) for note in lists.notes] == case.get("notes", [])
    assert all(rule.blocked for rule in rules)


@pytest.mark.parametrize("case", BAD, ids=[case["what"] for case in BAD])
def test_every_fault_of_a_list_is_told_at_once(case: dict[str, Any], folder: Path) -> None:
    write(folder, case["files"])
    with pytest.raises(InputInvalid) as caught:
        read(folder)
    assert [told(fault, folder) for fault in caught.value.details] == case["faults"]
    assert str(len(case["faults"])) in caught.value.message and caught.value.hint


def test_an_archive_that_is_cut_short_or_damaged_is_refused_whole(folder: Path) -> None:
    """Wherever it is cut, and whichever byte is another: nothing of it is taken."""
    names = "".join(f"{hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()[:40]}.example\n" for n in range(2000))
    write(
        folder, {"b.tar.gz": {"ut1": {"chat/domains": names}}, "i.toml": '[[import]]\nfile="b.tar.gz"\nformat="ut1"\n'}
    )
    content = (folder / "b.tar.gz").read_bytes()
    cut = [content[:part] for part in (10, len(content) // 3, len(content) - 600, len(content) - 4)]
    damaged = [content[:part] + bytes([content[part] ^ 4]) + content[part + 1 :] for part in range(900, 9000, 900)]
    for damage in cut + damaged:
        (folder / "b.tar.gz").write_bytes(damage)
        with pytest.raises(InputInvalid) as caught:
            read(folder)
        assert "this is no whole archive of Toulouse" in caught.value.details[-1]


def test_a_file_of_another_kind_is_refused_without_a_fault_for_each_line(folder: Path) -> None:
    (folder / "social.txt").write_bytes(b"\xff\n" * 100_000)
    with pytest.raises(InputInvalid) as caught:
        read(folder)
    assert "100000" in caught.value.message.replace(" ", "")
    assert len(caught.value.details) == 201


def test_a_million_names_are_taken_whole_and_a_fault_in_the_last_line_refuses_all(folder: Path) -> None:
    (folder / "social.txt").write_text("".join(f"site{n:x}.example\n" for n in range(1_000_000)), encoding="ascii")
    lists = read(folder)
    policy = merge(lists.rules)
    assert len(beyond_the_projects(lists)) == 1_000_000
    assert [policy.decide(f"www.site{n}.example").blocked for n in ("0", "f423f", "f4240")] == [True, True, False]
    (folder / "social.txt").write_text("a.example\n" * 100_000 + "no name\n", encoding="ascii")
    with pytest.raises(InputInvalid) as caught:
        read(folder)
    assert [told(fault, folder) for fault in caught.value.details] == ["social.txt:100001: no name is no host name"]


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InputInvalid) as caught:
        read(tmp_path / "missing")
    assert caught.value.details == (f"{tmp_path / 'missing'}: this folder cannot be read: No such file or directory",)


def test_the_academy_blocks_allows_and_restricts(folder: Path, keys: KeyFiles) -> None:
    """What it imports is covered by its signature, through the checksum."""
    (folder / "names.txt").write_text("c.example\n", encoding="utf-8")
    digest = hashlib.sha256(b"c.example\n").hexdigest()
    (folder / SESSION_RULES).write_text(
        'only_allowed = true\nallow = ["a.example"]\n[block]\nsocial = ["b.example"]\n'
        f'[[import]]\nfile = "names.txt"\nformat = "hosts"\ncategory = "vpn"\nsha256 = "{digest}"\n',
        encoding="utf-8",
    )
    SIGNATURES.sign(folder / SESSION_RULES, keys.secret, "", "session 2027")
    lists = read(folder, keys.text)
    assert lists.only_allowed
    assert [(rule.name, rule.blocked, rule.origin, rule.line) for rule in beyond_the_projects(lists)] == [
        ("a.example", False, Origin.ACADEMY, 2),
        ("b.example", True, Origin.ACADEMY, 4),
        ("c.example", True, Origin.IMPORT, 1),
    ]


def test_the_rules_of_the_loaded_context_hold(folder: Path, keys: KeyFiles, tmp_path: Path) -> None:
    """And not those that were put into the folder; the centre's own are read beside them."""
    session = tmp_path / "session"
    session.mkdir()
    for place, name in ((session, "new.example"), (folder, "old.example")):
        (place / SESSION_RULES).write_text(f'[block]\nsocial = ["{name}"]\n', encoding="utf-8")
        SIGNATURES.sign(place / SESSION_RULES, keys.secret, "", "session 2027")
    (folder / "vpn.txt").write_text("own.example\n", encoding="utf-8")
    lists = read(folder, keys.text, session=session)
    assert [rule.name for rule in beyond_the_projects(lists)] == ["new.example", "own.example"]
    assert any(str(folder / SESSION_RULES) in note for note in lists.notes)
    (session / SESSION_RULES).write_text('[block]\nsocial = ["other.example"]\n', encoding="utf-8")
    with pytest.raises(SignatureInvalid):
        read(folder, keys.text, session=session)


def test_the_academys_import_without_a_checksum_is_refused(folder: Path, keys: KeyFiles) -> None:
    (folder / SESSION_RULES).write_text(
        '[[import]]\nfile = "names.txt"\nformat = "hosts"\ncategory = "vpn"\n', encoding="utf-8"
    )
    SIGNATURES.sign(folder / SESSION_RULES, keys.secret, "", "session 2027")
    with pytest.raises(InputInvalid) as caught:
        read(folder, keys.text)
    assert told(caught.value.details[0], folder) == "academy.toml:2: what the academy imports has a `sha256`"


def test_what_the_academy_did_not_sign_is_refused(folder: Path, keys: KeyFiles, tmp_path: Path) -> None:
    """No key, no signature, another's key, a changed file, a signature without its file."""
    path = folder / SESSION_RULES
    path.write_text('allow = ["a.example"]\n', encoding="utf-8")
    with pytest.raises(SignatureInvalid):
        read(folder, keys.text)
    SIGNATURES.sign(path, keys.secret, "", "session 2027")
    assert read(folder, keys.text).rules[-1].name == "a.example"
    with pytest.raises(SignatureInvalid, match="public key"):
        read(folder)
    with pytest.raises(SignatureInvalid):
        read(folder, SIGNATURES.new_keys(tmp_path / "others", "").text)
    path.write_text('allow = ["b.example"]\n', encoding="utf-8")
    with pytest.raises(SignatureInvalid):
        read(folder, keys.text)
    path.unlink()
    assert beside(path).exists()
    with pytest.raises(InputInvalid):
        read(folder, keys.text)


def test_the_projects_lists_are_whole_and_without_contradiction() -> None:
    """Each category has a list; lint finds nothing to say."""
    lists = read(None)
    assert {rule.category for rule in lists.rules if rule.blocked} == set(Category)
    assert {path.stem for path in (PROJECT / "blocked").iterdir()} == set(Category)
    assert lint(merge(lists.rules), lists) == []


def test_the_projects_lists_close_platforms_and_leave_the_search_open() -> None:
    policy = merge(read(None).rules)
    assert [name for name in VERDICTS["closed"] if not policy.decide(name).blocked] == []
    assert [name for name in VERDICTS["open"] if policy.decide(name).blocked] == []


def test_what_the_probe_takes_for_closed_is_closed() -> None:
    """In the field it tries these; they and the lists are changed together."""
    policy = merge(read(None).rules)
    probes = tomllib.loads((PROJECT / "probes.toml").read_text(encoding="utf-8"))
    closed = [*probes["platforms"], *(probes[key]["name"] for key in ("blocked", "deep", "shared", "doh"))]
    assert [name for name in closed if not policy.decide(name).blocked] == []
    assert [probes[key]["name"] for key in ("search", "allowed") if policy.decide(probes[key]["name"]).blocked] == []


def test_the_search_works_where_only_what_is_allowed_is_open() -> None:
    policy = merge(read(None).rules, only_allowed=True)
    assert not policy.decide("www.google.fr").blocked and policy.decide("www.lemonde.fr").blocked
