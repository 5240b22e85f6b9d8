"""How processes find each other, without a process."""

import pytest
from torch.distributed import HashStore, PrefixStore

from mytorch.train.errors import RankError
from mytorch.train.parallel import meeting
from mytorch.train.parallel.launched import Place

FIRST = Place(0, 3, 0, "127.0.0.1", 1, False)
SECOND = Place(1, 3, 0, "127.0.0.1", 1, False)


class Vanishing:
    """A store that is gone after some looks, as one whose process has ended."""

    def __init__(self, looks):
        self.store, self.looks = HashStore(), looks
        self.get, self.set, self.add = self.store.get, self.store.set, self.store.add

    def check(self, names):
        self.looks -= 1
        if self.looks < 0:
            raise RuntimeError("Connection reset by peer")
        return self.store.check(names)


@pytest.fixture
def base(monkeypatch):
    monkeypatch.setattr(meeting, "prefixed", lambda prefix, base: PrefixStore(prefix, base.store))
    return Vanishing(looks=3)


def test_a_process_whose_first_has_gone_says_that_it_did_not_come(base):
    with pytest.raises(RankError, match="got none of rank 0; see whether it was started"):
        meeting.meet(SECOND, base, "group", 5.0)


def test_a_second_process_of_a_rank_says_so_where_the_first_has_gone(base):
    meeting._begin_attempt(FIRST, base, "group")
    assert meeting._is_open(PrefixStore("group/1", base.store), SECOND)
    with pytest.raises(RankError, match="must have a rank of its own, got another one of rank 1, which came before"):
        meeting.meet(SECOND, base, "group", 5.0)
