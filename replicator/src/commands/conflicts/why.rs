//! The sentences that explain a conflict. Pure.

use applier::journal::{Entry, Kind, Side, Winner};

/// Why the two writes conflict: what each had seen of the other.
pub(super) fn concurrent(entry: &Entry) -> Vec<String> {
    let (incoming, existing) = (&entry.incoming, &entry.existing);
    if entry.kind == Kind::Skipped {
        return vec!["It could not be applied here, or should not be.".to_owned()];
    }
    let mut sentences = vec![unseen(incoming, existing), unseen(existing, incoming)];
    sentences.push(match entry.kind {
        Kind::Unique => {
            "So neither could know that the other took the value; together the two rows cannot be.".to_owned()
        }
        Kind::ForeignKey => {
            "So neither could know what the other did; parent and child together cannot be as both left them."
                .to_owned()
        }
        _ => "So neither overwrote the other knowingly: whatever stays is a choice.".to_owned(),
    });
    sentences
}

/// What the region of `side` had seen of `other`.
fn unseen(side: &Side, other: &Side) -> String {
    let (here, there) = (side.origin, other.origin);
    if here == there {
        return format!("Both were written in {here}.");
    }
    let seen = side.seen(there);
    let wrote = format!("When {here} wrote, it had seen {there}'s transactions");
    let number = other.sequence;
    match (seen.0, seen < number) {
        (0, _) => format!(
            "When {here} wrote, it had seen no transaction of {there}; the other write is {there}'s number {number}."
        ),
        (_, true) => format!("{wrote} up to {seen}; the other write is {there}'s number {number}."),
        (_, false) => format!("{wrote} up to {seen}, the other write, number {number}, among them."),
    }
}

/// What was decided, and by which rule.
pub(super) fn decided(entry: &Entry) -> Vec<String> {
    let (incoming, existing) = (&entry.incoming, &entry.existing);
    if entry.detect_only {
        return vec![
            "Nothing was decided: conflicts of this table, or between these two regions, are only reported (detect_only)."
                .to_owned(),
            format!("The write of {} was taken as it came, so the regions may differ in this row.", incoming.origin),
        ];
    }
    if entry.kind == Kind::Skipped {
        return vec![
            format!(
                "A person passed over transaction {} of {} with `concord skip`: the row stayed as it was here.",
                incoming.sequence, incoming.origin
            ),
            "Concord wrote 1 repair for it, so that it becomes so in every region.".to_owned(),
        ];
    }
    let mut sentences = vec![match entry.winner {
        Winner::Incoming => format!("The write of {} stays, which arrived.", incoming.origin),
        Winner::Existing => format!("The write of {} stays, which was here.", existing.origin),
        Winner::Merged => "The row has something of both.".to_owned(),
        Winner::Halted => {
            "Nothing: the rule leaves it to a person, and the row waits. The RUNBOOK says how to go on."
                .to_owned()
        }
    }];
    sentences.extend(rule(entry));
    match entry.repairs {
        0 => {}
        1 => sentences
            .push("Concord wrote 1 repair for it, which travels to all regions like any write.".to_owned()),
        n => sentences
            .push(format!("Concord wrote {n} repairs for it, which travel to all regions like any write.")),
    }
    sentences
}

/// What the rule says, and how it came out here.
fn rule(entry: &Entry) -> Vec<String> {
    let mut parts = entry.policy.split(" + ");
    let base = parts.next().unwrap_or_default();
    let mut sentences = Vec::new();
    if base == "last-writer-wins" {
        sentences.push("last-writer-wins: of writes that did not know of each other, the one with the newest stamp stays.".to_owned());
        sentences.push(stamps(entry));
    } else if base.starts_with("region-owned") {
        sentences.push(
            "region-owned: the write of the row's owner stays; among others, the one with the newest stamp."
                .to_owned(),
        );
    } else if base.starts_with("columns") {
        sentences.push(
            "columns: each column is decided by itself, by its own rule or by the newest stamp of those that changed it.".to_owned(),
        );
    } else if base == "halt" {
        sentences.push("halt: conflicts of this table are not decided by Concord.".to_owned());
    } else if entry.kind == Kind::Unique {
        sentences.push(format!(
            "{base}: of two rows with one value, the one whose newest write has the newest stamp keeps it; the other makes way."
        ));
        sentences.push(stamps(entry));
    } else if entry.kind == Kind::ForeignKey {
        sentences.push(format!(
            "{base}: the newest stamp decides whether the child goes with its parent or the parent comes back."
        ));
        sentences.push(stamps(entry));
    }
    for modifier in parts {
        sentences.push(match modifier {
            "delete-wins" => {
                "delete-wins: a delete stays against any write that did not know of it.".to_owned()
            }
            "update-wins" => {
                "update-wins: a delete gives way to any write that did not know of it.".to_owned()
            }
            other => format!("And: {other}."),
        });
    }
    if sentences.is_empty() {
        sentences.push(format!("The rule was: {}.", entry.policy));
    }
    sentences
}

/// Which stamp is newer, and whether that is what decided.
fn stamps(entry: &Entry) -> String {
    let order = |side: &Side| (side.hlc, side.origin, side.sequence, side.index);
    let (incoming, existing) = (&entry.incoming, &entry.existing);
    let incoming_is_newer = order(incoming) > order(existing);
    let (newer, older) = if incoming_is_newer { (incoming, existing) } else { (existing, incoming) };
    let mut sentence = match newer.hlc.0 - older.hlc.0 {
        0 => format!(
            "The stamps are equal to the microsecond; then the region's name decides, and {} comes after {}.",
            newer.origin, older.origin
        ),
        us => format!("The stamp of {} is {} newer than that of {}.", newer.origin, span(us), older.origin),
    };
    let by_stamp = match entry.winner {
        Winner::Incoming => incoming_is_newer,
        Winner::Existing => !incoming_is_newer,
        Winner::Merged | Winner::Halted => true,
    };
    if !by_stamp {
        sentence += " It was not these two alone: other writes of the row, which not every region has seen yet, counted too.";
    }
    sentence
}

/// A span of time in its two largest digits or so.
fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..120_000_000 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        120_000_000..7_200_000_000 => format!("{} min", us / 60_000_000),
        _ => format!("{} h", us / 3_600_000_000),
    }
}
