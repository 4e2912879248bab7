"""Results that are kept as long as they hold."""

from daemon.kept import kept_for_same


def test_a_result_is_kept_for_the_same_object_alone() -> None:
    """An equal one may differ in what does not count for equality; the last one is not taken for a new one."""
    asked: list[list[int]] = []

    @kept_for_same
    def doubled(numbers: list[int]) -> list[int]:
        """Twice each."""
        asked.append(numbers)
        return [2 * number for number in numbers]

    first, second = [1, 2], [1, 2]
    assert doubled(first) is doubled(first)
    assert doubled(second) == [2, 4]
    assert doubled(second) is not doubled(first)
    assert doubled.__doc__ == "Twice each."
    assert asked == [first, second, first]
    assert [each is first for each in asked] == [True, False, True]
