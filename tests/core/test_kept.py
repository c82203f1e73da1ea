"""What several workers need is made once."""

import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

from changedetect.core.kept import Kept


def test_each_is_made_once_whoever_asks_and_the_oldest_is_let_go():
    made = []

    def make(key):
        time.sleep(0.01)
        made.append(key)
        return key * key

    kept = Kept(make, keep=2)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kept.of, [3, 3, 3, 3])) == [9, 9, 9, 9]
    assert made == [3]
    assert kept.of(4) == 16
    assert kept.at_hand(3) == 9
    assert kept.of(5) == 25
    assert kept.at_hand(3) is None
    assert made == [3, 4, 5]
    assert kept.of(3) == 9
    assert made == [3, 4, 5, 3]


def test_what_could_not_be_made_is_tried_again():
    answers = iter([None, 7])

    def make(_):
        answer = next(answers)
        if answer is None:
            raise OSError("not yet")
        return answer

    kept = Kept(make, keep=1)
    for _ in range(2):
        try:
            found = kept.of("a")
        except OSError:
            found = kept.at_hand("a")
            assert found is None
    assert found == 7


def test_a_copy_keeps_its_own():
    kept = Kept(abs, keep=3)
    assert kept.of(-2) == 2
    copy = deepcopy(kept)
    assert copy.at_hand(-2) is None
    assert copy.of(-2) == 2
