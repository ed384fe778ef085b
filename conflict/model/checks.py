"""Merges that break a CHECK or do not fit their column: the row falls back to the newest whole live image, in fold order.

usage: checks.py [RUNS] [--broken=NAME]     each run: a seed, with 2, 3 and 4 regions, for each kind of CHECK

A merge is judged once, at the end of the fold, on the whole row; until then a counter may pass through any value (wide, unclamped). Two
CHECKs: a counter that must stay in a range (an overflow is that too), and one over two columns that different clients write.

Looked for, after every commit: a row that breaks its CHECK, a client's write that is not taken as it is, a history that folds otherwise than all
writes that ever came here (which nothing pruned); at the end regions that differ.

--broken=keep   a merge that breaks its CHECK leaves the row as it is here: regions differ
--broken=alone  prunes each write as soon as it alone is stable
"""
import bisect
import collections
import itertools
import random
import sys

import history
from history import D, Region

BROKEN = next((x.split('=')[1] for x in sys.argv[1:] if x.startswith('--broken=')), None)


def in_range(image):
    return 0 <= image[D] <= 9


def ordered(image):
    return image[0] <= image[1]


def judged(check, writes):
    """The fold, or where it breaks `check` the newest whole live image; and whether it did."""
    row, _ = history.fold(history.columns, writes)
    if row is None or check(row):
        return row, False
    return next(w.after for w in reversed(writes) if w.after is not None), True


class Checked(Region):
    def __init__(self, check, *rest):
        super().__init__(*rest)
        self.check, self.ever, self.fell_back = check, collections.defaultdict(list), 0

    def insert(self, w):
        super().insert(w)
        if all(w is not p for p in self.ever[w.key]):
            bisect.insort(self.ever[w.key], w, key=lambda p: p.place)

    def set(self, key, image):
        assert image is None or self.check(image), 'a CHECK is broken'
        if image is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = image

    def local(self, now, key, after):
        before = self.rows.get(key)
        if after != before and (after is None or self.check(after)):
            self.set(key, after)
            self.commit([(key, before, after)], now)
            self.verify(key)

    def apply(self, t):
        self.take(t)
        for key in {w.key for w in t.writes}:
            image, fell_back = judged(self.check, self.history[key])
            self.fell_back += fell_back
            if fell_back and BROKEN == 'keep':
                image = self.rows.get(key) or image
            self.set(key, image)
            self.verify(key)

    def verify(self, key):
        if not BROKEN:
            assert judged(self.check, self.history[key])[0] == self.rows.get(key), 'a row is not its fold'
            assert judged(self.check, self.ever[key])[0] == self.rows.get(key), 'what was pruned is missed'


def play(seed, count, check, steps=250, n_keys=3):
    r = random.Random(f'{seed} {count} {check.__name__}')
    logs = [[] for _ in range(count)]
    regions = [Checked(check, me, count, r.choice([0, 0, 50, -50, 500]), history.columns, logs) for me in range(count)]

    def mutate(before):
        if before is None:
            return (r.randrange(10), r.randrange(10), r.randrange(10))
        if r.random() < .12:
            return None
        after, column = list(before), r.randrange(3)
        after[column] = after[D] + r.randint(-6, 6) if column == D else r.randrange(10)
        return tuple(after)

    def pull(here, origin, most):
        region = regions[here]
        for t in logs[origin][region.seen[origin]:][:most]:
            if region.ready(t):
                region.apply(t)

    for now in range(steps):
        x, here = r.random(), r.randrange(count)
        region = regions[here]
        if x < .35:
            key = r.randrange(n_keys)
            region.local(now, key, mutate(region.rows.get(key)))
        elif x < .85:
            origin = r.randrange(count)
            if origin != here:
                pull(here, origin, r.randint(1, 5))
                if region.seen[origin] == len(logs[origin]) and r.random() < .6:
                    region.known[origin] = tuple(regions[origin].seen)
        elif x < .94:
            region.prune(BROKEN == 'alone')
        elif x < .97:
            region.retain()
        else:
            region.restart(r.random() < .5)
    for _ in range(100):
        for i, o in itertools.permutations(range(count), 2):
            pull(i, o, 1000)
    assert all(x.seen == regions[0].seen for x in regions), 'stuck'
    return all(x.rows == regions[0].rows for x in regions), regions


def main():
    runs = int(next((x for x in sys.argv[1:] if x.isdigit()), 100))
    bad = 0
    for check in (in_range, ordered):
        ends, sums = collections.Counter(), collections.Counter()
        for seed, count in itertools.product(range(runs), (2, 3, 4)):
            try:
                equal, regions = play(seed, count, check)
                end = 'equal' if equal else 'different'
                sums.update({n: sum(getattr(x, n) for x in regions) for n in ('conflicts', 'fell_back', 'pruned')})
            except AssertionError as error:
                end = str(error)
            ends[end] += 1
            if end != 'equal':
                bad += 1
                if ends[end] < 3:
                    print(f'  seed {seed}, {count} regions: {end}')
        print(check.__name__, dict(ends), dict(sums), flush=True)
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
