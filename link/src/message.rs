//! The control messages, as Protocol Buffers. A reader skips fields that it does not know, so that two neighbouring
//! releases understand each other; a field's number and meaning never change.

/// First frame of both sides. Its layout outlives every protocol version.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol_oldest: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) protocol_newest: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) format_written: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) format_oldest: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) format_newest: u32,
    #[prost(string, tag = "6")]
    pub(crate) region: String,
    /// The region that the client wants to reach; empty in the server's hello.
    #[prost(string, tag = "7")]
    pub(crate) wanted: String,
    #[prost(string, tag = "8")]
    pub(crate) mesh: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) fingerprint: Vec<u8>,
    /// What the fingerprint is made of, as text; empty if it is too long to travel.
    #[prost(string, tag = "10")]
    pub(crate) description: String,
    #[prost(uint32, tag = "11")]
    pub(crate) epoch: u32,
    #[prost(string, tag = "12")]
    pub(crate) software: String,
}

/// The last frame of a side that will not go on.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Refuse {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    #[prost(uint64, tag = "3")]
    pub(crate) number: u64,
}

/// Opens a pull.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pull {
    #[prost(string, tag = "1")]
    pub(crate) origin: String,
    /// First record wanted; 0 is the earliest held.
    #[prost(uint64, tag = "2")]
    pub(crate) from: u64,
    /// Bytes that may be in flight.
    #[prost(uint64, tag = "3")]
    pub(crate) window: u64,
    /// The last records before `from` as the receiver has them, in order.
    #[prost(message, repeated, tag = "4")]
    pub(crate) held: Vec<Held>,
}

/// A record that the speaker holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Held {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) checksum: u64,
}

/// Opens a question.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) payload: Vec<u8>,
    /// Bytes that may be in flight.
    #[prost(uint64, tag = "3")]
    pub(crate) window: u64,
}

/// The pull or question is accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Opened {
    /// Last durable record of the origin in the sender's log; 0 for a question.
    #[prost(uint64, tag = "1")]
    pub(crate) durable: u64,
}

/// What the receiver has taken over.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    /// Bytes of credit given back.
    #[prost(uint64, tag = "1")]
    pub(crate) credit: u64,
    /// Last record that is durable at the receiver; 0 for a question.
    #[prost(uint64, tag = "2")]
    pub(crate) durable: u64,
}

/// Sign of life.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Beat {
    /// Wall clock of the speaker as the beat left, microseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(crate) sent_us: u64,
    /// `sent_us` of the last beat that the speaker heard; 0 if none.
    #[prost(uint64, tag = "2")]
    pub(crate) echo_sent_us: u64,
    /// Wall clock of the speaker when it heard that beat.
    #[prost(uint64, tag = "3")]
    pub(crate) echo_heard_us: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) holdings: Vec<Holding>,
    #[prost(uint64, tag = "5")]
    pub(crate) unstable: u64,
    #[prost(bool, tag = "6")]
    pub(crate) stable: bool,
    #[prost(bool, tag = "7")]
    pub(crate) blocked: bool,
}

/// A log that the speaker holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Holding {
    #[prost(string, tag = "1")]
    pub(crate) origin: String,
    #[prost(uint64, tag = "2")]
    pub(crate) first: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) durable: u64,
}

/// The answer is complete, or has failed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct End {
    #[prost(bool, tag = "1")]
    pub(crate) failed: bool,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
}
