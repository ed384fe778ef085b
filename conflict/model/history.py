"""What the models share: writes, their fold order, histories, pruning, the floor, restarts. The words are those of ../SEMANTICS.md.

A repair stands right after the write it settles: its place is (root, level), see `Write`. Images are tuples; None is no row.
"""
import bisect


class Write:
    """One row change. `root` is the place of the client's write that a repair stands behind, `level` 0 means no repair."""
    __slots__ = ('origin', 'seq', 'index', 'hlc', 'seen', 'key', 'before', 'after', 'root', 'level', 'place')

    def __init__(self, origin, seq, index, hlc, seen, key, before, after, root=None, level=0):
        self.origin, self.seq, self.index, self.hlc, self.seen = origin, seq, index, hlc, seen
        self.key, self.before, self.after = key, before, after
        self.root, self.level = root or (hlc, origin, seq, index), level
        self.place = self.root + (level, origin, seq, index)

    def __repr__(self):
        return f'<{self.key}: {self.before}→{self.after} at {self.place}>'


class Transaction:
    def __init__(self, origin, seq, hlc, seen, writes):
        self.origin, self.seq, self.hlc, self.seen, self.writes = origin, seq, hlc, seen, writes


def covers(w, p):
    if w.origin == p.origin:
        return (p.seq, p.index) < (w.seq, w.index)
    return p.seq <= w.seen[p.origin]


def before(t, w):
    """Whether transaction `t` covers `w`, which is not of it."""
    return w.seq < t.seq if w.origin == t.origin else w.seq <= t.seen[w.origin]


def concurrent(w, p):
    return not covers(w, p) and not covers(p, w)


def start(writes):
    """Where a fold may begin: the newest write that covers all before it."""
    for at in range(len(writes) - 1, 0, -1):
        if all(covers(writes[at], p) for p in writes[:at]):
            return at
    return 0


def fold(policy, writes):
    """(the row, the row as it last was live). A write concurrent with nothing before it is taken as it is."""
    begin = start(writes)
    row = ghost = writes[begin].before
    for at in range(begin, len(writes)):
        w = writes[at]
        rivals = [p for p in writes[:at] if concurrent(w, p)]
        row = policy(row, w, rivals) if rivals else w.after
        ghost = row if row is not None else ghost
    return row, ghost


# Policies: the row so far, the next write, the earlier writes it is concurrent with (never none). A = 0 and U = 1 are plain columns, D = 2 counts.
D = 2


def last_writer_wins(row, w, rivals):
    return w.after


def columns(row, w, rivals):
    if w.after is None or row is None or w.before is None:
        return w.after
    merged = [mine if new == old else new for mine, old, new in zip(row, w.before, w.after)]
    merged[D] = row[D] + w.after[D] - w.before[D]
    return tuple(merged)


def owner(row, w, rivals):
    return row if w.origin != 0 and any(p.origin == 0 for p in rivals) else w.after


def update_wins(row, w, rivals):
    return row if w.after is None and row is not None and any(p.after is not None for p in rivals) else w.after


def delete_wins(row, w, rivals):
    return None if row is None and any(p.after is None for p in rivals) else w.after


POLICIES = (last_writer_wins, columns, owner, update_wins, delete_wins)


class Region:
    def __init__(self, me, count, skew, policy, logs):
        self.me, self.count, self.skew, self.policy, self.logs = me, count, skew, policy, logs
        self.clock, self.rows, self.history = 0, {}, {}
        self.seen = [0] * count                         # per origin, what is committed here
        self.known = [(0,) * count for _ in range(count)]   # per region, what it is known to have seen, from its applied records
        self.keep = [1] * count                         # per origin, where this region's copy of the log begins
        self.conflicts = self.pruned = 0

    def insert(self, w):
        writes = self.history.setdefault(w.key, [])
        bisect.insort(writes, w, key=lambda p: p.place)

    def commit(self, changes, now, tick=True):
        """A transaction or a record of repairs: the next number, a new HLC. `changes`: (key, before, after), a repair's also root and level."""
        if tick:
            self.clock = max(self.clock + 1, now + self.skew)
        seq = self.seen[self.me] = len(self.logs[self.me]) + 1
        seen = tuple(self.seen)
        writes = [Write(self.me, seq, i, self.clock, seen, *change) for i, change in enumerate(changes)]
        self.logs[self.me].append(Transaction(self.me, seq, self.clock, seen, writes))
        for w in writes:
            self.insert(w)

    def ready(self, t):
        return all(o in (t.origin, self.me) or self.seen[o] >= t.seen[o] for o in range(self.count))

    def take(self, t):
        """Counts an applied transaction and puts its writes into their histories."""
        for w in t.writes:
            self.conflicts += any(concurrent(w, p) for p in self.history.get(w.key, ()))
            self.insert(w)
        self.seen[t.origin], self.known[t.origin] = t.seq, t.seen
        self.clock = max(self.clock, t.hlc)

    def prune(self, alone=False):
        """`alone` is the mistake of letting each write go as soon as it alone is stable."""
        stable = [self.stable(o) for o in range(self.count)]
        for key, writes in list(self.history.items()):
            stands = [w.seq <= stable[w.origin] for w in writes]
            if alone:
                left = [w for w, ok in zip(writes, stands) if not ok]
            else:
                cut = stands.index(False) if False in stands else len(writes)
                while cut and not all(covers(w, p) for w in writes[cut:] for p in writes[:cut]):
                    cut -= 1
                left = writes[cut:]
            self.pruned += len(writes) - len(left)
            if left:
                self.history[key] = left
            else:
                del self.history[key]

    def stable(self, origin):
        """Every region other than the origin covers it, this one included."""
        return min(self.seen[origin] if r == self.me else self.known[r][origin] for r in range(self.count) if r != origin)

    def retain(self):
        """Deletes from this region's copies of the logs what Index::floor lets go."""
        floor = [self.stable(o) + 1 for o in range(self.count)]
        for o in range(self.count):
            for seq in range(self.stable(o) + 1, self.seen[o] + 1):
                for x, covered in enumerate(self.logs[o][seq - 1].seen):
                    if x != o:
                        floor[x] = min(floor[x], covered + 1)
        for writes in self.history.values():
            for w in writes:
                floor[w.origin] = min(floor[w.origin], w.seq)
        self.keep = [max(a, b) for a, b in zip(self.keep, floor)]

    def restart(self, forgetful):
        """Rebuilds all histories from the copies of the logs; `forgetful`: only applied transactions say what others have seen."""
        self.history = {}
        for o in range(self.count):
            kept = self.logs[o][self.keep[o] - 1:self.seen[o]]
            if forgetful and o != self.me:
                self.known[o] = kept[-1].seen if kept else (0,) * self.count
            for t in kept:
                for w in t.writes:
                    self.insert(w)
