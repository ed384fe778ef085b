"""Suspended tables: a region stops applying one table, says so in its log, and catches up later in steps.

Its clients write the table all the while.

usage: suspended.py [RUNS] [--broken=NAME]     each run: a seed, with 2, 3 and 4 regions, for every policy

A region keeps, per suspended table and origin, the number up to which the table is applied (in MySQL, changed with the rows), and announces
these numbers in its log when it suspends the table and whenever they change. Readers cap the contexts of its writes on that table at the
numbers that hold at that place of the log, and what it claims for stability, for all tables, at the lowest of its suspended tables'
numbers. While it holds writes back, the region itself counts no claim that it has not counted before.

Looked for: a client's write that is not taken as it is, a pruned write that is missed, a held-back one that is gone, an increment that is lost
(runs in which clients only count), regions that differ after all have resumed.

--broken=silent  nothing is announced: contexts claim what was not applied
--broken=late    caught up in steps, but only the end is announced: a client's write between the steps is not taken as it is
--broken=claims  contexts are capped, claims are not: what a held-back write will meet is pruned
--broken=eager   a region that holds writes back counts claims that come after them in the logs
--broken=lost    retention drops an announcement that still holds: after a restart the region's contexts are read uncapped
"""
import collections
import itertools
import random
import sys

import history
from history import Region, Write

TABLES = 2
BROKEN = next((x.split('=')[1] for x in sys.argv[1:] if x.startswith('--broken=')), None)


def table(key):
    return key % TABLES


def own(numbers, origin, seq):
    """Announced numbers with what a region has seen of its own log, which is all of it."""
    return [seq if o == origin else n for o, n in enumerate(numbers)]


def lowest(seen, caps):
    return tuple(map(min, zip(seen, *caps.values())))


class Suspending(Region):
    """`self.log_of(o)[n-1].announced`: {table: numbers, or None on resume}, empty in all but announcements."""

    def __init__(self, *rest):
        super().__init__(*rest)
        self.behind = {}                                        # suspended tables: per origin, up to where they are applied
        self.caps = [{} for _ in range(self.count)]             # what each region has announced, as far as its log is applied here
        self.ever, self.heard = collections.defaultdict(dict), list(self.known)
        self.held = self.steps = 0

    # Reading logs: contexts capped by what is announced. A reader knows no announcement from before its copy begins.

    def caps_before(self, origin, seq):
        caps = {}
        for t in self.logs[origin][self.keep[origin] - 1:seq - 1]:
            announce(caps, t)
        return caps

    def read(self, t, caps, tables):
        """The writes of `t` on `tables`, with the contexts that hold for them."""
        writes = []
        for w in t.writes:
            if table(w.key) in tables:
                seen = tuple(map(min, t.seen, own(caps.get(table(w.key), t.seen), t.origin, t.seq)))
                writes.append(Write(w.origin, w.seq, w.index, w.hlc, seen, w.key, w.before, w.after))
        return writes

    def insert(self, w):
        super().insert(w)
        self.ever[w.key][(w.origin, w.seq, w.index)] = w

    def claim(self):
        """What this region says it has seen, read from its log."""
        caps = {k: own(v, self.me, self.seen[self.me]) for k, v in self.caps[self.me].items()}
        return tuple(self.seen) if BROKEN in ('silent', 'claims') else lowest(self.seen, caps)

    def stable(self, origin):
        mine = lowest(self.seen, {} if BROKEN == 'silent' else self.behind)
        return min(mine[origin] if r == self.me else self.known[r][origin] for r in range(self.count) if r != origin)

    # Writing and applying.

    def commit(self, changes, now):
        self.clock = max(self.clock + 1, now + self.skew)
        self.append(changes, {})

    def append(self, changes, announced):
        seq = self.seen[self.me] = len(self.logs[self.me]) + 1
        seen = tuple(self.seen)
        writes = [Write(self.me, seq, i, self.clock, seen, *change) for i, change in enumerate(changes)]
        t = history.Transaction(self.me, seq, self.clock, seen, writes)
        t.announced = {} if BROKEN == 'silent' else announced
        self.logs[self.me].append(t)
        announce(self.caps[self.me], t)
        for w in self.read(t, self.caps[self.me], range(TABLES)):
            self.insert(w)

    def local(self, now, key, mutate):
        before = self.rows.get(key)
        after = mutate(before)
        if after != before:
            self.rows[key] = after
            self.commit([(key, before, after)], now)
            self.verify(key)

    def apply(self, t):
        announce(self.caps[t.origin], t)
        writes = self.read(t, self.caps[t.origin], range(TABLES))
        applied = [w for w in writes if table(w.key) not in self.behind]
        self.held += len(writes) - len(applied)
        self.change(applied)
        self.seen[t.origin] = t.seq
        caps = {k: own(v, t.origin, t.seq) for k, v in self.caps[t.origin].items()}
        self.hear(t.origin, t.seen if BROKEN == 'claims' else lowest(t.seen, caps))
        self.clock = max(self.clock, t.hlc)

    def hear(self, origin, claim):
        """A claim counts only once everything before it in its log is applied, so none does while a table is held back."""
        self.heard[origin] = claim
        if not self.behind or BROKEN == 'eager':
            self.known = list(self.heard)

    def change(self, writes):
        for w in writes:
            self.conflicts += any(history.concurrent(w, p) for p in self.history.get(w.key, ()))
            self.insert(w)
        for key in {w.key for w in writes}:
            self.rows[key] = history.fold(self.policy, self.history[key])[0]
            self.verify(key)

    def verify(self, key):
        assert history.fold(self.policy, self.history[key])[0] == self.rows[key], 'a write is not taken as it is'
        ever = sorted(self.ever[key].values(), key=lambda w: w.place)
        assert history.fold(self.policy, ever)[0] == self.rows[key], 'a pruned write is missed'

    def suspend(self, which):
        self.behind[which] = list(self.seen)
        self.append([], {which: tuple(self.seen)})

    def catch_up(self, which, r, most):
        """One step, one MySQL transaction: held-back writes of up to `most` source transactions, in causal order, and the new numbers."""
        numbers = self.behind[which]
        for _ in range(most):
            ready = []
            for o in range(self.count):
                if o != self.me and numbers[o] < self.seen[o]:
                    t = self.logs[o][numbers[o]]
                    assert t.seq >= self.keep[o], 'a held-back write is gone from the log'
                    caps = self.caps_before(o, t.seq)
                    writes = self.read(t, caps, [which])
                    if all(c in (o, self.me) or w.seen[c] <= numbers[c] for w in writes for c in range(self.count)):
                        ready.append((o, writes))
            if not ready:
                break
            o, writes = r.choice(ready)
            self.change(writes)
            numbers[o] += 1
        done = all(numbers[o] == self.seen[o] for o in range(self.count) if o != self.me)
        self.steps += 1
        if done:
            del self.behind[which]
            self.known = self.known if self.behind else list(self.heard)
        if done or BROKEN != 'late':
            self.append([], {which: None if done else tuple(numbers)})

    # Retention and restart.

    def retain(self):
        """The floor, and what was announced last before it of each table that is suspended there, as long as that holds."""
        before = self.keep
        super().retain()
        for o in range(self.count):
            while BROKEN != 'lost':
                last = {}
                for t in self.logs[o][:self.keep[o] - 1]:
                    last.update({k: (t.seq, numbers) for k, numbers in t.announced.items()})
                open_ = [seq for seq, numbers in last.values() if numbers is not None]
                if not open_:
                    break
                self.keep[o] = min(open_)
            assert self.keep[o] >= before[o], 'retention would need what is gone'

    def restart(self, forgetful):
        self.history = {}
        for o in range(self.count):
            caps = {}
            for t in self.logs[o][self.keep[o] - 1:self.seen[o]]:
                announce(caps, t)
                here = [k for k in range(TABLES) if k not in self.behind or o == self.me or t.seq <= self.behind[k][o]]
                for w in self.read(t, caps, here):
                    self.insert(w)
            self.caps[o] = caps
            if forgetful:
                self.known[o] = self.heard[o] = (0,) * self.count


def announce(caps, t):
    for which, numbers in t.announced.items():
        if numbers is None:
            caps.pop(which, None)
        else:
            caps[which] = numbers


def play(seed, count, policy, counting, steps=260, n_keys=4):
    r = random.Random(f'{seed} {count} {policy.__name__} {counting}')
    logs, value = [[] for _ in range(count)], itertools.count(1)
    regions = [Suspending(me, count, r.choice([0, 0, 50, -50, 500]), policy, logs) for me in range(count)]

    def mutate(before):
        x, v = r.random(), next(value)
        if counting:
            return (0, 0, before[2] + 1)
        if before is None:
            return (v, v, 0)
        if x < .15:
            return None
        if x < .4:
            return (v, *before[1:])
        return (before[0], v, before[2]) if x < .65 else (*before[:2], before[2] + r.randint(1, 9))

    def pull(here, origin, most):
        region = regions[here]
        for t in logs[origin][region.seen[origin]:][:most]:
            if region.ready(t):
                region.apply(t)

    if counting:
        for key in range(n_keys):
            regions[0].local(0, key, lambda before: (0, 0, 0))
        for here in range(1, count):
            pull(here, 0, n_keys)
    for now in range(steps):
        x, here = r.random(), r.randrange(count)
        region = regions[here]
        if x < .35:
            region.local(now, r.randrange(n_keys), mutate)
        elif x < .78:
            origin = r.randrange(count)
            if origin != here:
                pull(here, origin, r.randint(1, 5))
                if region.seen[origin] == len(logs[origin]) and r.random() < .6:
                    region.hear(origin, regions[origin].claim())
        elif x < .85:
            which = r.randrange(TABLES)
            if which in region.behind:
                region.catch_up(which, r, r.choice([1, 2, 3, 100]))
            elif r.random() < .5:
                region.suspend(which)
        elif x < .92:
            region.prune()
        elif x < .96:
            region.retain()
        else:
            region.restart(r.random() < .5)
    for _ in range(200):
        for i, o in itertools.permutations(range(count), 2):
            pull(i, o, 1000)
        for region in regions:
            for which in list(region.behind):
                region.catch_up(which, r, r.choice([1, 2, 100]))
    assert all(x.seen == regions[0].seen and not x.behind for x in regions), 'stuck'
    if counting:
        made = sum(len(t.writes) for log in logs for t in log) - n_keys
        assert made == sum(row[2] for row in regions[0].rows.values()), 'an increment is lost'
    return all(x.rows == regions[0].rows for x in regions), regions


def main():
    runs = int(next((x for x in sys.argv[1:] if x.isdigit()), 50))
    bad = 0
    for policy, counting in [(p, False) for p in history.POLICIES] + [(history.columns, True)]:
        ends, sums = collections.Counter(), collections.Counter()
        for seed, count in itertools.product(range(runs), (2, 3, 4)):
            try:
                equal, regions = play(seed, count, policy, counting)
                end = 'equal' if equal else 'different'
                sums.update({n: sum(getattr(x, n) for x in regions) for n in ('conflicts', 'held', 'steps', 'pruned')})
                sums['dropped by retention'] += sum(n - 1 for x in regions for n in x.keep)
            except AssertionError as error:
                end = str(error)
            ends[end] += 1
            if end != 'equal':
                bad += 1
                if ends[end] < 3:
                    print(f'  seed {seed}, {count} regions: {end}')
        print(policy.__name__, 'counting' if counting else '', dict(ends), dict(sums), flush=True)
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
