"""What the processor can do, as Linux tells it."""

from models.processor import KNOWN, instructions, known_flags


def test_known_instructions_are_found_among_the_flags_of_x86() -> None:
    text = (
        "processor\t: 0\nmodel name\t: Some CPU with amx_int8\nflags\t\t: fpu avx512_vnni sse2 avx2\n\nflags\t: fpu\n"
    )
    assert known_flags(text) == ("avx2", "avx512_vnni")


def test_those_of_arm_stand_under_features() -> None:
    assert known_flags("Features\t: fp asimd asimddp i8mm\n") == ("asimddp", "i8mm")


def test_a_system_that_does_not_tell_names_its_architecture() -> None:
    assert known_flags("") == ()
    assert instructions()
    assert set(instructions()) <= set(KNOWN) or len(instructions()) == 1
