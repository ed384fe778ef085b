//! A primary that lacks some of what the log has claimed: claims stand, and records say that it lacks something.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../transaction/tests/synthetic/mod.rs"]
mod synthetic;

use extractor::{Held, Resume};
use support::own::marker;
use support::{begin, feed, fresh, name, transaction};
use synthetic::{gtid, insert, query, tagged_gtid, xid};
use transaction::record::{Body, Record};
use transaction::{Context, Hlc, Sequence};

fn context(entries: &[(&str, u64)]) -> Context {
    entries.iter().map(|(origin, sequence)| (name(origin), Sequence(*sequence))).collect()
}

/// A log of 9 transactions that has claimed us up to 5; its primary holds 6 of them, and us up to 3.
fn behind() -> Resume {
    let mut resume = fresh();
    resume.stamper.context = context(&[("us", 5)]);
    resume.stamper.last_sequence = Sequence(9);
    resume.stamper.last_hlc = Hlc(1_000);
    resume.held =
        Held { context: context(&[("us", 3)]), tail: Some((Sequence(6), Sequence(9))), unsure_until: None };
    resume
}

fn client(number: u64) -> Vec<u8> {
    [gtid(1, number, 100), query("", "BEGIN"), insert(number as i32, 0), xid()].concat()
}

fn applied(number: u64, origin: &str, sequence: u64) -> Vec<u8> {
    let rows = [marker(origin, sequence, 900, 0), insert(7, 7), marker(origin, sequence, 900, 1)].concat();
    [tagged_gtid(1, origin, number, 1), query("", "BEGIN"), rows, xid()].concat()
}

#[test]
fn contexts_claim_what_is_to_come_back_and_say_until_when_it_lacks() {
    let (mut extractor, recorder) = begin(behind());
    let stream = [
        client(1),
        applied(1, "eu", 8),
        client(2),
        applied(2, "eu", 9),
        client(3),
        applied(1, "us", 5),
        client(4),
    ];
    feed(&mut extractor, &stream.concat()).unwrap();
    let given = recorder.0.borrow();
    let told: Vec<(u64, Context)> = given
        .records
        .iter()
        .map(|raw| {
            let (record, body) = transaction(raw);
            (record.sequence.0, body.context.clone())
        })
        .collect();
    // The last one's primary has all of it.
    let expected = [
        (10, context(&[("us", 5), ("eu", 7)])),
        (11, context(&[("us", 5), ("eu", 9)])),
        (12, context(&[("us", 5), ("eu", 12)])),
        (13, context(&[("us", 5)])),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_was_committed_before_it_was_looked_is_taken_for_lacking() {
    let mut resume = behind();
    let both = [client(1), client(2)].concat();
    let end = support::split(&client(1), 4).last().unwrap().1;
    resume.held = Held { context: context(&[("us", 5)]), tail: None, unsure_until: Some((1, end)) };
    let (mut extractor, recorder) = begin(resume);
    feed(&mut extractor, &both).unwrap();
    let given = recorder.0.borrow();
    let own = |at: usize| transaction(&given.records[at]).1.context.entry(name("eu"));
    assert_eq!((own(0), own(1)), (Some(Sequence(10)), None));
}

#[test]
fn a_position_says_so_too_and_the_server_must_have_what_came_back() {
    let (mut extractor, recorder) = begin(behind());
    feed(&mut extractor, &applied(1, "eu", 7)).unwrap();
    extractor.write_position(1).unwrap();
    let given = recorder.0.borrow();
    let record = Record::decode(&given.records[0]).unwrap();
    let Body::Position(position) = &record.body else { panic!("{:?}", record.kind()) };
    assert_eq!(position.context, context(&[("us", 5), ("eu", 8)]));
    assert_eq!(position.last_sequence, Sequence(9));
}
