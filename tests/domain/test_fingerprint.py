"""How two fingerprints differ: the cases of tests/cases/fingerprint.json, and what is refused as a fingerprint."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.fingerprint import Fingerprint, FingerprintMalformed, content_digest, differences

CASES = json.loads((Path(__file__).parents[1] / "cases/fingerprint.json").read_text(encoding="utf-8"))


def fingerprint(
    files: dict[str, str] | None = None, tables: dict[str, str] | None = None, manifest: str = "sha256:0"
) -> Fingerprint:
    files, tables = files or {}, tables or {}
    return Fingerprint(manifest, files, tables, content_digest(manifest, files, tables))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_differences(case: dict[str, Any]) -> None:
    found = differences(fingerprint(**case["before"]), fingerprint(**case["after"]))
    assert [f"{item.what} {item.name} {item.kind}" for item in found] == case["differences"]


names = st.text(min_size=1, max_size=6).filter(str.isprintable)
fingerprints = st.builds(
    fingerprint,
    st.dictionaries(names, st.sampled_from(["f:0644:0:33:aa", "f:0644:0:33:bb", "deleted"]), max_size=4),
    st.dictionaries(names, st.sampled_from(["1:aa", "2:bb"]), max_size=4),
    st.sampled_from(["sha256:1", "sha256:2"]),
)


@given(fingerprints, fingerprints)
def test_no_difference_exactly_when_equal(one: Fingerprint, other: Fingerprint) -> None:
    assert (differences(one, other) == []) == (one == other) == (one.digest == other.digest)


@given(fingerprints)
def test_written_and_read_back(one: Fingerprint) -> None:
    assert Fingerprint.parse(one.dump()) == one
    assert differences(one, Fingerprint.parse(one.dump())) == []


def test_the_digest_is_the_contracts_own_definition() -> None:
    """Written out, so that nobody changes both sides at once: compact JSON, sorted keys, UTF-8, slashes unescaped."""
    import hashlib

    text = '{"contract":1,"files":{"/é":"deleted"},"manifest":"sha256:0","tables":{"t":"1:aa"}}'
    assert fingerprint({"/é": "deleted"}, {"t": "1:aa"}).digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


GOOD = json.loads(fingerprint({"/x": "deleted"}, {"t": "1:aa"}).dump())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "null",
        json.dumps({key: value for key, value in GOOD.items() if key != "tables"}),
        json.dumps({**GOOD, "contract": 2}),
        json.dumps({**GOOD, "tables": {"t": "1:ab"}}),
        json.dumps({**GOOD, "files": ["/x"]}),
        json.dumps({**GOOD, "files": 7}),
    ],
    ids=["empty", "text", "list", "null", "no tables", "version 2", "digest of something else", "a list", "a number"],
)
def test_what_is_not_a_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(FingerprintMalformed):
        Fingerprint.parse(text)


def test_php_writes_an_empty_object_as_an_empty_list() -> None:
    empty = fingerprint(tables={"t": "1:aa"})
    assert Fingerprint.parse(json.dumps({**json.loads(empty.dump()), "files": []})) == empty
