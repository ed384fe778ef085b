"""Foreign keys and a unique key over rows folded from histories: parents, children, grandchildren, circles, cascades.

usage: foreign.py [RUNS] [--broken=NAME]     each run: a seed, with 2, 3 and 4 regions, for every shape and policy

Looked for: regions that differ at the end, repairs without end, a constraint broken after any apply, a row that is not its fold, a look
at the rows concerned that decides otherwise than a look at all rows. A failing run prints its seed.

--broken=pairwise  compares the two rows of a clash only, not what leans on them: repairs without end, within one apply
--broken=silent    puts a parent back without writing it: regions differ
--broken=shallow   looks for the children of a row that goes, but not for theirs: orphans
--broken=alone     prunes each write as soon as it alone is stable: regions differ
--broken=oldest    a repair of a row without a history stands before everything: see forgotten_child()
--broken=unticked  the record of a repair gets the last HLC, not a new one: a row is not its fold
--broken=fresh     a repair stands at its own HLC, not at the loser's: fails nothing here, but more keys end "unlike one look"
"""
import collections
import itertools
import random
import sys

import history
from history import Region

U, D, FK = 1, history.D, 3
BROKEN = next((x.split('=')[1] for x in sys.argv[1:] if x.startswith('--broken=')), None)


class Endless(Exception):
    pass


class Keys:
    """The constraints. One rule per foreign-key column: R(estrict), C(ascade) or N (set null).

    A column refers to a row by its name: its key, or with `by_value` what it holds in the unique column U, which may move on.
    """

    def __init__(self, rules, unique, by_value=False):
        self.rules, self.unique, self.by_value = rules, unique, by_value

    def name(self, key, image):
        return image[U] if self.by_value else key

    def named(self, rows, name):
        return [k for k, image in rows.items() if self.name(k, image) == name]

    def parents(self, image):
        return [(c, rule, image[c]) for c, rule in enumerate(self.rules, FK) if image[c] is not None]

    def children(self, rows, name):
        return [(k, c, rule) for k, image in rows.items() for c, rule, parent in self.parents(image) if parent == name]

    def holders(self, rows, key, image):
        """Other rows with the unique value of `image`."""
        return {k for k, other in rows.items() if self.unique and k != key and other[U] == image[U]}

    def ghost(self, ghosts, key):
        """As what an absent row may be put back. By value, nobody could find the row that once had the name: never."""
        return None if self.by_value else ghosts.get(key)

    def check(self, rows):
        for key, image in rows.items():
            assert not self.holders(rows, key, image), 'the unique key is broken'
            assert all(self.named(rows, name) for _, _, name in self.parents(image)), 'an orphan'


def null(image, column):
    return image[:column] + (None,) + image[column + 1:]


def only_live(rows):
    return {k: image for k, image in rows.items() if image is not None}


# ---------------------------------------------------------------------------------------------------------------- the rule

def settle(keys, rows, ghosts, place, fixed):
    """What each of `rows` becomes (key: image, or None where the fold left no row). A pure function, the heart of this model.

    Rows are decided in the order of their newest writes, newest first. A live row stands if all rows that it needs can stand; those that
    are gone and not decided yet are put back for it, as their ghosts. A row that cannot stand goes; one that lacks only a row behind a
    SET NULL column stays, with NULL. So a row is as strong as the newest row that leans on it; what is decided stays decided.
    `fixed` are live rows that nothing here touches.
    """
    decided = {}

    def stand(key, image, along):
        """Whether `key` can be `image`: `along` with it and what else that takes, or None."""
        if keys.holders({**fixed, **only_live(decided), **along}, key, image):
            return None
        along = {**along, key: image}
        for column, rule, name in keys.parents(image):
            if keys.named({**fixed, **only_live(decided), **along}, name):
                continue
            free = {k: rows[k] or keys.ghost(ghosts, k) for k in rows if k not in decided and k not in along}
            needed = sorted(keys.named(only_live(free), name), key=place, reverse=True)
            more = next(filter(None, (stand(k, free[k], along) for k in needed)), None)
            if more:
                along = more
            elif rule == 'N':
                along[key] = null(along[key], column)
            else:
                return None
        return along

    for key in sorted(rows, key=place, reverse=True):
        if key not in decided:
            along = rows[key] and stand(key, rows[key], {})
            decided.update(along or {key: None})
    return decided


def concerned(keys, rows, ghosts, touched, former):
    """The rows that a change of the rows `touched` (from what they were `former`ly) can reach, so that `settle` need not see all.

    `lean`: all below them counts. `wanted`: they may be put back. All of it can be asked by index, with locking reads.
    """
    found, lean, wanted, sizes = set(touched), set(), set(), None
    while sizes != (len(found), len(lean), len(wanted)):
        sizes = len(found), len(lean), len(wanted)
        for key in list(found):
            image = rows.get(key)
            names = {keys.name(key, v) for v in (image, former.get(key), ghosts.get(key)) if v is not None}
            names |= set() if keys.by_value else {key}
            lost = {name for name in names if not keys.named(rows, name)}
            below = {k for name in (names if key in lean else lost) for k, _, _ in keys.children(rows, name)}
            found |= below
            lean |= set() if BROKEN == 'shallow' else below
            if image is None:
                wanted |= {key} if below else set()
                image = keys.ghost(ghosts, key) if key in wanted else None
            if image is None:
                continue
            gone = {name for _, _, name in keys.parents(image) if not keys.named(rows, name)}
            lean |= {key} if gone else set()
            if not keys.by_value:
                found |= gone
                wanted |= gone
            back = {k: keys.ghost(ghosts, k) for k in wanted if k not in rows}
            rivals = keys.holders({**rows, **only_live(back)}, key, image)
            if rivals:
                found |= rivals
                lean |= rivals | {key}
    return found


def pairwise(keys, rows, ghosts, place, fixed):
    """The rule first thought of: of two rows that clash the older one loses, until nothing clashes."""
    rows = {**fixed, **rows}
    for _ in range(1000):
        live = only_live(rows)
        clash = next(((k, rivals) for k, v in live.items() if (rivals := keys.holders(live, k, v))), None)
        links = ((k, *link) for k, v in live.items() for link in keys.parents(v))
        orphan = next((link for link in links if not keys.named(live, link[3])), None)
        if clash:
            rows[min(clash[1] | {clash[0]}, key=place)] = None
        elif orphan:
            key, column, rule, name = orphan
            newest = max((k for k, _, _ in keys.children(live, name)), key=place)
            if keys.ghost(ghosts, name) and place(newest) > place(name):
                rows[name] = ghosts[name]
            else:
                rows[key] = null(live[key], column) if rule == 'N' else None
        else:
            return rows
    raise Endless('in one apply')


# ------------------------------------------------------------------------------------------------------------- the regions

class Fenced(Region):
    """A region whose MySQL keeps the constraints `keys`."""

    def __init__(self, keys, *rest):
        super().__init__(*rest)
        self.keys, self.level = keys, 0
        self.put_back = self.removed = self.nulled = self.forgotten = 0

    # What a client can do: whole statements, and what the server does with them.

    def local(self, now, statements):
        changes = []
        for key, mutate in statements:
            done = self.statement(self.rows, key, mutate)
            self.set({k: after for k, _, after in done})
            changes += done
        if changes:
            self.commit(changes, now)
            self.verify({k for k, _, _ in changes})

    def statement(self, rows, key, mutate):
        """The changes of one statement in binlog order, cascaded ones before the row they come from; none if the server refuses it."""
        keys, before = self.keys, rows.get(key)
        after = mutate(before)
        if after == before:
            return []
        if after is None:
            changes = []
            return changes if self.delete(dict(rows), key, changes, set()) else []
        renamed = before is not None and keys.name(key, before) != keys.name(key, after)
        leaned_on = renamed and keys.children(rows, keys.name(key, before))
        orphan = any(not keys.named({**rows, key: after}, name) for _, _, name in keys.parents(after))
        return [] if leaned_on or orphan or keys.holders(rows, key, after) else [(key, before, after)]

    def delete(self, rows, key, changes, going):
        going.add(key)
        for child, column, rule in self.keys.children(rows, self.keys.name(key, rows[key])):
            if child in going or child not in rows:
                continue
            if rule == 'R' or rule == 'C' and not self.delete(rows, child, changes, going):
                return False
            if rule == 'N':
                changes.append((child, rows[child], null(rows[child], column)))
                rows[child] = changes[-1][2]
        changes.append((key, rows.pop(key), None))
        return True

    def set(self, images):
        self.rows = only_live({**self.rows, **images})

    # What the applier does.

    def apply(self, transactions, now):
        """A batch of one origin: all keys are folded first, then the clashes of what they come to are settled."""
        for t in transactions:
            self.take(t)
        former, known = self.rows, self.known_keys(transactions[0])
        touched = {w.key for t in transactions for w in t.writes}
        self.set({k: history.fold(self.policy, self.history[k])[0] for k in touched})
        repairs = self.decide(touched, known, former)
        self.write(repairs, transactions[0], known, now)
        self.set(repairs)
        self.keys.check(self.rows)
        self.verify(touched | set(repairs))

    def known_keys(self, t):
        """The keys whose newest write is known for sure: `t`, the first of the batch, does not cover all of the history.

        Of a row whose whole history it covers, newer writes may have been pruned, and after a restart older ones may be back.
        """
        return {k for k, ws in self.history.items() if not all(history.before(t, w) for w in ws)}

    def decide(self, touched, known, former):
        place = lambda key: self.history[key][-1].place if key in known else (-1, key)
        ghosts = {k: history.fold(self.policy, self.history[k])[1] for k in known if k not in self.rows}
        if BROKEN == 'pairwise':
            outcome = pairwise(self.keys, dict.fromkeys(ghosts), ghosts, place, self.rows)
        else:
            found = concerned(self.keys, self.rows, ghosts, touched, former)
            fixed = {k: v for k, v in self.rows.items() if k not in found}
            outcome = settle(self.keys, {k: self.rows.get(k) for k in found}, ghosts, place, fixed)
            if BROKEN != 'shallow':
                every = {k: self.rows.get(k) for k in self.rows.keys() | ghosts.keys()}
                whole = settle(self.keys, every, ghosts, place, {})
                assert only_live(whole) == only_live({**fixed, **outcome}), 'a look at all rows decides otherwise'
        return {k: image for k, image in outcome.items() if image != self.rows.get(k)}

    def write(self, repairs, t, known, now):
        """A repair stands right behind the newest write of its row; if that is not known, right behind `t`, which covers it."""
        changes = []
        for key, image in sorted(repairs.items()):
            here = self.rows.get(key)
            self.put_back += here is None
            self.removed += image is None
            self.nulled += None not in (here, image)
            self.forgotten += key not in known
            if key in known:
                newest = self.history[key][-1]
                root, level = newest.root, newest.level + 1
            else:
                root, level = (-1,) * 4 if BROKEN == 'oldest' else (t.hlc, t.origin, t.seq, 0), 1
            if BROKEN == 'fresh':
                root, level = None, 1
            self.level = max(self.level, level)
            if BROKEN != 'silent' or here is not None:
                changes.append((key, here, image, root, level))
        if changes:
            self.commit(changes, now, tick=BROKEN != 'unticked')

    def verify(self, touched):
        """After every commit each row is the fold of its history."""
        for key in touched if BROKEN != 'silent' else ():
            assert history.fold(self.policy, self.history[key])[0] == self.rows.get(key), 'a row is not its fold'


# ------------------------------------------------------------------------------------------------------------ the schedules

class Shape:
    """`levels`: key k is in table k % levels and refers to the table before it. 0: any row may refer to any, itself and in circles too."""

    def __init__(self, levels, rules, unique=False, by_value=False):
        self.levels, self.rules, self.unique, self.by_value = levels, rules, unique, by_value

    def __str__(self):
        tables = f'{self.levels} tables' if self.levels else 'any to any'
        return f'{tables}, rules {self.rules}{", unique" * self.unique}{", by value" * self.by_value}'


SHAPES = (Shape(2, 'C'), Shape(3, 'C'), Shape(3, 'R', True), Shape(3, 'N', True), Shape(0, 'C', True), Shape(0, 'RN', True),
          Shape(0, 'CR'), Shape(0, 'C', True, True), Shape(0, 'NR', True, True))


class Schedule:
    def __init__(self, seed, count, policy, shape, n_keys=7, n_values=4):
        self.random = r = random.Random(f'{seed} {count} {policy.__name__} {shape}')
        self.shape, self.count, self.n_keys, self.n_values, self.value = shape, count, n_keys, n_values, 0
        self.keys = Keys(shape.rules, shape.unique, shape.by_value)
        self.logs = [[] for _ in range(count)]
        skews = [0, 0, 50, -50, 500]
        self.regions = [Fenced(self.keys, me, count, r.choice(skews), policy, self.logs) for me in range(count)]

    def referee(self, key, rows):
        """A row to refer to: mostly a present one."""
        levels, r = self.shape.levels, self.random
        fit = [k for k in range(self.n_keys) if not levels or k % levels == key % levels - 1]
        fit = [k for k in fit if k in rows] or fit
        if not fit or r.random() < .2:
            return None
        chosen = r.choice(fit)
        return self.keys.name(chosen, rows[chosen]) if chosen in rows else chosen

    def mutate(self, key, rows):
        def change(before):
            r, self.value = self.random, self.value + 1
            fks = [self.referee(key, rows) for _ in self.keys.rules]
            u = r.randrange(self.n_values) if self.keys.unique else self.value
            if before is None:
                return (self.value, u, 0, *fks)
            x, after = r.random(), list(before)
            if x < .3:
                return None
            if x < .5:
                after[FK:] = fks
            elif x < .65:
                after[U] = u
            elif x < .8:
                after[0] = self.value
            else:
                after[D] += r.randint(1, 9)
            return tuple(after)
        return change

    def pull(self, here, origin, now, most):
        region = self.regions[here]
        waiting = self.logs[origin][region.seen[origin]:][:most]
        batch = list(itertools.takewhile(region.ready, waiting))
        if batch:
            region.apply(batch, now)
        return bool(batch)

    def play(self, steps=160):
        r, regions, count = self.random, self.regions, self.count
        for now in range(steps):
            x, here = r.random(), r.randrange(count)
            region = regions[here]
            if x < .3:
                picked = [r.randrange(self.n_keys) for _ in range(r.choice([1, 1, 2, 3]))]
                region.local(now, [(key, self.mutate(key, region.rows)) for key in picked])
            elif x < .85:
                origin = r.randrange(count)
                if origin != here:
                    for _ in range(r.choice([1, 1, 4])):
                        self.pull(here, origin, now, r.choice([1, 1, 2, 5]))
                    if region.seen[origin] == len(self.logs[origin]) and r.random() < .6:
                        region.known[origin] = tuple(regions[origin].seen)
            elif x < .93:
                region.prune(BROKEN == 'alone')
            elif x < .96:
                region.retain()
            elif x < .98:
                region.restart(r.random() < .5)
            else:
                region.skew = r.choice([0, 50, -50, 500])
        for now in range(steps, steps + 400):
            moved = [self.pull(i, o, now, r.choice([1, 3, 50])) for i in range(count) for o in range(count) if i != o]
            if not any(moved):
                break
        else:
            raise Endless('across regions')
        assert all(x.seen == regions[0].seen for x in regions), 'stuck'
        return all(x.rows == regions[0].rows for x in regions)

    def unlike_one_look(self):
        """How many keys end otherwise than one look at all that the clients wrote would have decided, and of how many."""
        writes = collections.defaultdict(list)
        for w in sorted((w for log in self.logs for t in log for w in t.writes if w.level == 0), key=lambda w: w.place):
            writes[w.key].append(w)
        folds = {key: history.fold(self.regions[0].policy, ws) for key, ws in writes.items()}
        rows, ghosts = ({key: fold[part] for key, fold in folds.items()} for part in (0, 1))
        ideal = settle(self.keys, rows, ghosts, lambda key: writes[key][-1].place, {})
        return sum(self.regions[0].rows.get(k) != image for k, image in ideal.items()), len(ideal)


def forgotten_child():
    """c → y, old and forgotten in A, not in C. B moves y under p while A, later, deletes p: y goes, and with it c. A writes y anew.

    C meets all of that in one batch, where c has a parent again: only the repair's place tells C that c is gone.
    """
    schedule = Schedule(0, 3, history.last_writer_wins, Shape(0, 'C'))
    a, b, c = schedule.regions
    for region in schedule.regions:
        region.skew = 0
    put = lambda parent: lambda before: (0, 0, 0, parent)
    a.local(1, [('p', put(None)), ('y', put(None)), ('c', put('y'))])
    for region in (b, c):
        schedule.pull(region.me, 0, 2, 1)
    a.known[1], a.known[2] = tuple(b.seen), tuple(c.seen)
    a.prune()
    b.local(3, [('y', put('p'))])
    a.local(4, [('p', lambda before: None)])
    schedule.pull(0, 1, 5, 1)
    a.local(6, [('y', put(None))])
    for here, origin in [(2, 1), (2, 0), (1, 0), (1, 2), (0, 2)]:
        schedule.pull(here, origin, 7, 10)
    ends = [sorted(region.rows) for region in schedule.regions]
    print('an old child of a row that goes and comes back, in A, B and C:', *ends)
    return all(end == ends[0] for end in ends)


SUMS = ('conflicts', 'put_back', 'removed', 'nulled', 'forgotten', 'pruned')


def main():
    runs = int(next((x for x in sys.argv[1:] if x.isdigit()), 20))
    bad, all_ends = int(not forgotten_child()), collections.Counter()
    for shape, policy in itertools.product(SHAPES, history.POLICIES):
        ends, sums, level = collections.Counter(), collections.Counter(), 0
        for seed, count in itertools.product(range(runs), (2, 3, 4)):
            schedule = Schedule(seed, count, policy, shape)
            try:
                end = 'equal' if schedule.play() else 'different'
            except (AssertionError, Endless) as error:
                end = str(error) if isinstance(error, AssertionError) else f'no end {error}'
            ends[end] += 1
            if end == 'equal':
                sums.update(dict(zip(('unlike one look', 'of'), schedule.unlike_one_look())))
            elif ends[end] < 3:
                print(f'  seed {seed}, {count} regions: {end}')
            for region in schedule.regions:
                sums.update({n: getattr(region, n) for n in SUMS})
                level = max(level, region.level)
        all_ends += ends
        print(f'{shape}; {policy.__name__}:', dict(ends), dict(sums), 'level', level, flush=True)
    print('in all', dict(all_ends))
    sys.exit(bool(bad or all_ends.keys() - {'equal'}))


if __name__ == '__main__':
    main()
