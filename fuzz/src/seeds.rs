//! Inputs to begin with, made of the files that the crates' own tests stand on.

use std::path::PathBuf;

/// Names the folder that a target writes its seeds into before it begins. Not set: it writes none.
pub const SEEDS_FOLDER: &str = "CONCORD_FUZZ_SEEDS";

/// Binlog events that a server wrote, with checksums.
pub const BINLOGS: &[&[u8]] = &[
    include_bytes!("../../transaction/tests/events/plain.bin"),
    include_bytes!("../../transaction/tests/events/compressed.bin"),
    include_bytes!("../../transaction/tests/events/tagged.bin"),
    include_bytes!("../../transaction/tests/events/ddl.bin"),
    include_bytes!("../../transaction/tests/events/partial_json.bin"),
    include_bytes!("../../transaction/tests/events/minimal_update.bin"),
    include_bytes!("../../transaction/tests/events/accounts.bin"),
    include_bytes!("../../transaction/tests/events/own.bin"),
    include_bytes!("../../transaction/tests/events/xa.bin"),
    include_bytes!("../../transaction/tests/values/events.bin"),
];

/// Segments of a log.
pub const SEGMENTS: &[&[u8]] = &[
    include_bytes!("../../log-store/fixtures/v1/eu/00000000000000000001.seg"),
    include_bytes!("../../log-store/fixtures/v1/eu/00000000000000000004.seg"),
    include_bytes!("../../log-store/fixtures/v1/eu/00000000000000000007.seg"),
    include_bytes!("../../log-store/fixtures/v1/us/00000000000000000040.seg"),
];

/// The index beside a segment.
pub const INDEX: &[u8] = include_bytes!("../../log-store/fixtures/v1/eu/00000000000000000001.index");

/// Files of the conflict journal.
pub const JOURNALS: &[&[u8]] = &[
    include_bytes!("../../log-store/fixtures/journal-v1/conflict-journal/00000000000000000001.journal"),
    include_bytes!("../../log-store/fixtures/journal-v1/conflict-journal/00000000000000000004.journal"),
];

/// A server's greeting, and the key that it gives a client to encrypt the password with.
pub const GREETING: &[u8] = include_bytes!("../../extractor/src/replica/fixtures/greeting-9.7.4.bin");
pub const PUBLIC_KEY: &[u8] = include_bytes!("../../extractor/src/replica/fixtures/public-key-9.7.4.pem");

/// Writes seeds, if a folder for them is named.
pub fn write(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(folder) = std::env::var_os(SEEDS_FOLDER).map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of the seeds can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a seed can be written");
    }
}
