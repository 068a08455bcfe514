"""Signatures of files: what a centre refuses, and that minisign's own format is kept."""

import base64
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from orchestrator.adapters.signatures import MinisignSignatures, beside
from orchestrator.errors import InputInvalid, Refused, SignatureInvalid
from orchestrator.ports import KeyFiles

pytestmark = pytest.mark.usefixtures("in_english")

SIGNATURES = MinisignSignatures()


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return SIGNATURES.new_keys(tmp_path / "keys", "")


@pytest.fixture
def signed(tmp_path: Path, keys: KeyFiles) -> Path:
    path = tmp_path / "package.tar"
    path.write_bytes(b"content " * 5000)
    SIGNATURES.sign(path, keys.secret, "", "e5b test")
    return path


def refused(path: Path, key: str) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        SIGNATURES.verify(path, key)
    assert caught.value.hint
    return caught.value.message


def test_what_was_signed_gives_its_comment(signed: Path, keys: KeyFiles) -> None:
    assert SIGNATURES.verify(signed, keys.text) == "e5b test\tfile:package.tar\tsize:40000"


def test_each_fault_has_a_sentence_of_its_own(signed: Path, keys: KeyFiles, tmp_path: Path) -> None:
    content, sentences = signed.read_bytes(), set()
    signed.write_bytes(content[:-1])
    sentences.add(refused(signed, keys.text))
    signed.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    sentences.add(refused(signed, keys.text))
    signed.write_bytes(content + b"more")
    sentences.add(refused(signed, keys.text))
    signed.write_bytes(content)
    sentences.add(refused(signed, SIGNATURES.new_keys(tmp_path / "others", "").text))
    beside(signed).write_text("nothing", encoding="utf-8")
    sentences.add(refused(signed, keys.text))
    beside(signed).unlink()
    sentences.add(refused(signed, keys.text))
    assert len(sentences) == 5  # More at the end is a changed content.


def test_a_changed_comment_is_refused(signed: Path, keys: KeyFiles) -> None:
    signature = beside(signed)
    signature.write_text(signature.read_text("utf-8").replace("e5b test", "e5b best"), encoding="utf-8")
    assert "changed" in refused(signed, keys.text)


def test_a_key_of_another_with_the_same_number_is_refused(signed: Path, keys: KeyFiles, tmp_path: Path) -> None:
    other = base64.b64decode(SIGNATURES.new_keys(tmp_path / "others", "").text)
    forged = base64.b64decode(keys.text)[:10] + other[10:]
    assert "changed" in refused(signed, base64.b64encode(forged).decode())


def test_a_secret_key_is_readable_by_its_owner_alone_and_never_replaced(keys: KeyFiles) -> None:
    assert stat.S_IMODE(keys.secret.stat().st_mode) == 0o600
    with pytest.raises(Refused):
        SIGNATURES.new_keys(keys.secret.parent, "")


def test_a_key_with_a_password_signs_with_it_alone(tmp_path: Path) -> None:
    keys = SIGNATURES.new_keys(tmp_path / "locked", "sésame")
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert SIGNATURES.encrypted(keys.secret)
    with pytest.raises(InputInvalid):
        SIGNATURES.sign(path, keys.secret, "sesame", "")
    SIGNATURES.sign(path, keys.secret, "sésame", "empty")
    assert SIGNATURES.verify(path, keys.text).startswith("empty")


def test_what_is_no_key_is_an_error_of_input(signed: Path, tmp_path: Path) -> None:
    for text in ("", "RW", "untrusted comment: é"):
        with pytest.raises(InputInvalid):
            SIGNATURES.verify(signed, text)
    with pytest.raises(InputInvalid):
        SIGNATURES.sign(signed, tmp_path / "nowhere", "", "")


SIGNED_BY_MINISIGN = """\
untrusted comment: signature from minisign secret key
RUSbdQPID9znpRRSmexudPJIstJJNdOM9uM7Guhowa5qX3xJqUc2Q07mISyvh3GvBLSu+GGQl2I/xpGc/7EictwRamquUCn4TwM=
trusted comment: e5b test
bMqQkcNfTP4GgydfVxFZoCBL8nKCvPRn/T4NAvWP48P+Oz7VijsL/f9ovHWPNkpIvW+v2C0A1hGA0+tyMQixBg==
"""


def test_what_the_tool_minisign_signed_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_text("e5b\n", encoding="utf-8")
    beside(path).write_text(SIGNED_BY_MINISIGN, encoding="utf-8")
    assert SIGNATURES.verify(path, "RWSbdQPID9znpSbItjI9vnLvNrop9aCdKmPdfcg7Z14dVdbmk4skwG3X") == "e5b test"


def test_the_tool_minisign_accepts_what_was_signed(signed: Path, keys: KeyFiles) -> None:
    if shutil.which("minisign") is None:
        pytest.fail("minisign is not installed: .ci/test-tools installs it")
    subprocess.run(["minisign", "-V", "-p", keys.public, "-m", signed], check=True, capture_output=True)
