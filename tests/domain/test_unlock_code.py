"""Unlock codes: what is accepted, what is told from a wrong code, what never shows."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from orchestrator.domain.unlock_code import WORDS, CodeMistyped, UnlockCode

codes = st.integers(0, 2**44 - 1).map(UnlockCode)


def bare(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def test_the_list_is_the_french_one_and_four_letters_tell_its_words_apart() -> None:
    words = [bare(word) for word in Mnemonic("french").wordlist]
    assert len(words) == len({word[:4] for word in words}) == 2048
    assert all(re.fullmatch(r"[a-z]{5,8}", word) for word in words)


@given(codes)
def test_a_code_is_five_words_that_lead_back_to_it(code: UnlockCode) -> None:
    assert len(code.words) == WORDS
    assert UnlockCode.typed(" ".join(code.words)) == code


@given(codes, st.data())
def test_accents_capitals_separators_and_what_follows_four_letters_do_not_count(
    code: UnlockCode, data: st.DataObject
) -> None:
    typed = []
    for word in code.words:
        length = data.draw(st.integers(4, len(word)))
        written = word[:length] if data.draw(st.booleans()) else bare(word)[:length]
        typed.append(written.upper() if data.draw(st.booleans()) else written.title())
    between = data.draw(st.sampled_from([" ", "  ", "-", ", ", "\n", " ; ", "\u00a0", "."]))
    text = between.join(typed)
    form = data.draw(st.sampled_from(["NFC", "NFD"]))
    assert UnlockCode.typed(unicodedata.normalize(form, f" {text}\n")) == code


@given(codes, st.integers(0, WORDS - 1), st.integers(0, 2047))
def test_one_wrong_word_is_a_typing_mistake(code: UnlockCode, place: int, other: int) -> None:
    """Whatever word of the list stands in its place; the checksum lets one in 2048 through, which is another code."""
    words = list(code.words)
    words[place] = Mnemonic("french").wordlist[other]
    try:
        found = UnlockCode.typed(" ".join(words))
    except CodeMistyped as mistake:
        assert (mistake.count, mistake.unknown) == (WORDS, ())
    else:
        assert found == code or bare(" ".join(found.words)) == bare(" ".join(words))


def test_nearly_every_mistake_is_told() -> None:
    """Of ten thousand wrong words, those that pass for another code are about five, as 11 bits of checksum have it."""
    words, passed = Mnemonic("french").wordlist, 0
    for number in range(10_000):
        typed = list(UnlockCode(number * 0x1234567 % 2**44).words)
        typed[number % WORDS] = words[(words.index(bare_to_word(typed[number % WORDS])) + 1 + number % 2000) % 2048]
        try:
            UnlockCode.typed(" ".join(typed))
            passed += 1
        except CodeMistyped:
            pass
    assert passed < 30


def bare_to_word(word: str) -> str:
    return unicodedata.normalize("NFKD", word)


@given(codes, st.permutations(range(WORDS)))
def test_words_in_another_order_are_told(code: UnlockCode, order: list[int]) -> None:
    words = [code.words[place] for place in order]
    if words == list(code.words):
        return
    try:
        assert UnlockCode.typed(" ".join(words)) != code
    except CodeMistyped as mistake:
        assert mistake.unknown == ()


@pytest.mark.parametrize(
    ("text", "count", "unknown"),
    [
        ("", 0, ()),
        ("abandon abandon abandon", 3, ()),
        ("abandon abandon abandon abandon abandon abandon", 6, ()),
        ("abandon xylophage abandon qqqq abandon", 5, (2, 4)),
        ("aba aba aba aba aba", 5, (1, 2, 3, 4, 5)),
        ("abandonx abandon abandon abandon abandon", 5, (1,)),
        ("12345 67890 ??? !!! ---", 0, ()),
    ],
)
def test_what_is_no_code_is_told_with_the_places(text: str, count: int, unknown: tuple[int, ...]) -> None:
    with pytest.raises(CodeMistyped) as caught:
        UnlockCode.typed(text)
    assert (caught.value.count, caught.value.unknown) == (count, unknown)


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_code_or_a_mistake_that_keeps_none_of_it(text: str) -> None:
    try:
        UnlockCode.typed(text)
    except CodeMistyped as mistake:
        assert str(mistake) == "not an unlock code"


@given(codes, codes)
def test_two_codes_make_one_and_each_alone_is_any(code: UnlockCode, drawn: UnlockCode) -> None:
    """For every first code there is a second one: the first says nothing of the code."""
    second = drawn.with_second(code)
    assert drawn.with_second(second) == second.with_second(drawn) == code


def test_the_shares_of_a_second_lock_are_the_same_each_time_and_each_centres_own() -> None:
    code, secret = UnlockCode(0x123456789AB), b"s" * 32
    first, second = code.share(secret, "2027-05-11-am/lycee-a")
    assert (first, second) == code.share(secret, "2027-05-11-am/lycee-a")
    assert first.with_second(second) == code
    others = [code.share(secret, "2027-05-11-am/lycee-b"), code.share(b"t" * 32, "2027-05-11-am/lycee-a")]
    assert len({first, *(one for one, _two in others)}) == 3
    assert all(one.with_second(two) == code for one, two in others)
    assert first.with_second(others[0][1]) != code


def test_codes_are_drawn_of_44_bits_and_do_not_show() -> None:
    drawn = [UnlockCode.draw() for _time in range(200)]
    assert len(set(drawn)) == 200
    assert max(code.number for code in drawn) < 2**44 and max(code.number for code in drawn) > 2**42
    assert not re.search(r"\d", repr(drawn[0])) and not any(word in repr(drawn[0]) for word in drawn[0].words)


def test_a_code_stays_what_it_was() -> None:
    """Letters are printed months before they are typed: these words are pinned."""
    assert UnlockCode(0).words[:4] == ("abaisser",) * 4
    assert UnlockCode.typed("acro peig agac épid boul").secret == b"acronyme peigne agacer epidemie boulon"
