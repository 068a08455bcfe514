"""Two people do the same thing at the same moment."""

from tests.faults.conftest import BUSY, REFUSED, FaultyCentre


def test_two_teachers_reset_the_same_seat(wave: FaultyCentre) -> None:
    """Both are told how it went, and what the candidate had done is sealed."""
    wave.save_page(3, "Before two teachers came")
    both = [wave.start("seat", "reset", "3", "--yes") for _teacher in range(2)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in both]
    codes = sorted(code for _out, _err, code in ended)
    assert codes in ([0, 0], [0, REFUSED], [0, BUSY]), ended
    wave.until_served(3)
    sealed = wave.archives(3)
    assert len(sealed) == codes.count(0)
    wave.check_sealed(3, sealed[0])
    wave.saved[3] = {}
    wave.save_page(3, "After two teachers came")
    wave.check_saved()
