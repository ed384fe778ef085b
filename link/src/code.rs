//! The codes of links that are refused until a person has acted.

transaction::halt_codes! {
    /// A file of `[region.link]` holds no certificate or key that can be used.
    LINK_CERTIFICATE_INVALID = "link-certificate-invalid";
    /// The certificates of the two regions are of different authorities.
    LINK_CERTIFICATE_AUTHORITY = "link-certificate-authority";
    /// A certificate bears another name than its region.
    LINK_CERTIFICATE_NAME = "link-certificate-name";
    /// A certificate is not valid at this time.
    LINK_CERTIFICATE_TIME = "link-certificate-time";
    /// One side speaks TLS and the other does not.
    LINK_TLS_MODE = "link-tls-mode";
    /// What answers is not Concord.
    LINK_STRANGER = "link-stranger";
    /// The two versions are too far apart.
    LINK_VERSION = "link-version";
    /// A region or mesh other than the one that is meant.
    LINK_WRONG_REGION = "link-wrong-region";
    /// The regions have different `[mesh]`.
    MESH_DIFFERS = "mesh-differs";
    /// The regions are in different epochs of `[mesh]`.
    EPOCH_DIFFERS = "epoch-differs";
    /// Retention has deleted what is to be sent next.
    LINK_RECORD_REMOVED = "link-record-removed";
    /// The origin's log is shorter than the copy of it.
    LINK_LOG_SHORTER = "link-log-shorter";
    /// Two copies of a log hold different records under one number.
    LINK_LOG_DIFFERS = "link-log-differs";
    /// Records came damaged.
    LINK_RECORDS_DAMAGED = "link-records-damaged";
    /// A log cannot be read to be sent.
    LINK_LOG_UNREADABLE = "link-log-unreadable";
    /// The other side said what the protocol does not allow.
    LINK_PROTOCOL = "link-protocol";
}
