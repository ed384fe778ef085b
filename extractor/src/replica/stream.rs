//! The stream of raw binlog events.

use std::time::Duration;

use super::channel::Channel;
use super::error::ReplicaError;
use super::options::ReplicaOptions;
use super::query::{is_end, query};
use super::server_error::RIGHTS;
use super::track::Track;
use crate::code;
use crate::error::Place;

const COM_REGISTER_REPLICA: u8 = 0x15;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
/// Heartbeats with 64-bit positions (`USE_HEARTBEAT_EVENT_V2`); servers before 8.0.26 ignore the flag.
const HEARTBEAT_V2: u16 = 0x02;
/// A GTID set follows (`BINLOG_THROUGH_GTID`).
const THROUGH_GTID: u16 = 0x04;
/// Offset of the first event in every binlog file.
const FIRST_OFFSET: u64 = 4;
/// The server looks through its files for the start before it sends anything, heartbeats included; with thousands of
/// files this takes longer than an honest silence later on.
const FIRST_EVENT_WAIT: Duration = Duration::from_secs(60);

/// Raw events as the server sends them, verified and in order.
///
/// The first two are an artificial ROTATE and the FORMAT_DESCRIPTION of the file; events of the server's own making
/// (artificial ROTATE, heartbeats) are among them, so a caller hears something at least every heartbeat period.
pub struct BinlogStream {
    channel: Channel,
    track: Track,
    read_timeout: Duration,
}

impl BinlogStream {
    pub(super) fn open(
        mut channel: Channel,
        options: &ReplicaOptions,
        executed: &[u8],
    ) -> Result<Self, ReplicaError> {
        prepare_session(&mut channel, options)?;
        register(&mut channel, options.server_id)?;
        channel.command(&dump_request(options.server_id, executed))?;
        channel.set_timeout(FIRST_EVENT_WAIT.max(options.read_timeout))?;
        // Checksums were asked for just now, so the first event carries one whatever the file has.
        Ok(Self { channel, track: Track::new(true), read_timeout: options.read_timeout })
    }

    /// Waits for the next event and returns its bytes: header, body, and four bytes of CRC32 at the end if
    /// [`BinlogStream::checksums`] says so. They stay valid until the next call.
    ///
    /// Length and checksum are verified. After an error the stream is of no further use.
    pub fn next_event(&mut self) -> Result<&[u8], ReplicaError> {
        self.channel.read()?;
        if self.channel.timeout() != self.read_timeout {
            self.channel.set_timeout(self.read_timeout)?;
        }
        match self.channel.packet() {
            [0x00, event @ ..] => {
                self.track.follow(event)?;
                Ok(event)
            }
            [0xff, ..] => Err(self.channel.server_error()),
            packet if is_end(packet) => Err(ReplicaError::Ended {
                peer: self.channel.peer().to_owned(),
                place: self.track.place().clone(),
            }),
            _ => Err(self.channel.protocol("a packet in the binlog stream that is no event")),
        }
    }

    /// The bytes of the last event, as [`BinlogStream::next_event`] returned them; empty before the first.
    pub fn event(&self) -> &[u8] {
        self.channel.packet().get(1..).unwrap_or_default()
    }

    /// Whether the next event has arrived whole, so that [`BinlogStream::next_event`] will not wait. Costs nothing.
    ///
    /// False does not mean that there is none on its way: it says that waiting may be needed, so commit first.
    pub fn has_buffered(&self) -> bool {
        self.channel.has_whole_packet()
    }

    /// Whether the last event ends with a CRC32 (which has been verified). It may change with each FORMAT_DESCRIPTION,
    /// which itself has four bytes for a checksum at its end in either case.
    pub fn checksums(&self) -> bool {
        self.track.checksums()
    }

    /// Binlog file, and the offset in it after the last event (64 bits also in files beyond 4 GiB).
    ///
    /// After a heartbeat this is the end of what the server has looked at, skipped transactions included.
    pub fn position(&self) -> (&str, u64) {
        let Place { file, offset } = self.track.place();
        (file, *offset)
    }
}

/// Says through session variables what kind of reader this is: each under its present name and the one of before 8.0.26.
fn prepare_session(channel: &mut Channel, options: &ReplicaOptions) -> Result<(), ReplicaError> {
    // With CRC32 both kinds of files are sent as they are; a reader that says NONE is refused by a source with CRC32.
    let heartbeat_ns = options.heartbeat.as_nanos();
    let uuid = &options.replica_uuid;
    let sql = format!(
        "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', \
         @source_heartbeat_period = {heartbeat_ns}, @master_heartbeat_period = {heartbeat_ns}, \
         @replica_uuid = '{uuid}', @slave_uuid = '{uuid}'"
    );
    query(channel, &sql).map(drop)
}

/// Makes this reader known to the server, which checks its privilege by the way.
fn register(channel: &mut Channel, server_id: u32) -> Result<(), ReplicaError> {
    channel.command(&registration(server_id))?;
    match channel.receive() {
        Ok(_) => Ok(()),
        // Said to an account that is logged in, "access denied" means the privilege (9.7.4).
        Err(ReplicaError::Server { peer, error }) if error.code == 1045 => {
            let reason = format!("{RIGHTS} (the server: {})", error.text);
            Err(ReplicaError::Unfit { peer, code: code::MYSQL_MISSING_PRIVILEGE, reason })
        }
        Err(error) => Err(error),
    }
}

/// Makes this reader appear in `SHOW REPLICAS`: server id, host, user, password, port, rank, id of the source.
fn registration(server_id: u32) -> Vec<u8> {
    const HOST: &[u8] = b"concord";
    let mut out = vec![COM_REGISTER_REPLICA];
    out.extend_from_slice(&server_id.to_le_bytes());
    out.push(HOST.len() as u8);
    out.extend_from_slice(HOST);
    out.extend_from_slice(&[0; 1 + 1 + 2 + 4 + 4]);
    out
}

/// Flags, server id, file name (none), offset, GTID set.
fn dump_request(server_id: u32, executed: &[u8]) -> Vec<u8> {
    let mut out = vec![COM_BINLOG_DUMP_GTID];
    out.extend_from_slice(&(HEARTBEAT_V2 | THROUGH_GTID).to_le_bytes());
    out.extend_from_slice(&server_id.to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&FIRST_OFFSET.to_le_bytes());
    out.extend_from_slice(&(executed.len() as u32).to_le_bytes());
    out.extend_from_slice(executed);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_laid_out_as_the_protocol_says() {
        let dump = dump_request(0x0102_0304, b"set");
        assert_eq!(dump, b"\x1e\x06\0\x04\x03\x02\x01\0\0\0\0\x04\0\0\0\0\0\0\0\x03\0\0\0set");
        assert_eq!(registration(7), b"\x15\x07\0\0\0\x07concord\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}
