//! The codes of what the wiring itself finds; every other crate has its own.

transaction::halt_codes! {
    /// The tables of two regions that meet for the first time differ.
    TABLES_DIFFER = "tables-differ";
    /// The region's MySQL does not answer what the extractor asks.
    SERVER_NOT_ANSWERING = "server-not-answering";
    /// Schema `concord` on the server belongs to another region or mesh.
    SERVER_OF_ANOTHER_REGION = "server-of-another-region";
    /// The operating system starts no more threads.
    THREAD_NOT_STARTED = "thread-not-started";
    /// A part of the process ended by a panic.
    PANICKED = "panicked";
}
