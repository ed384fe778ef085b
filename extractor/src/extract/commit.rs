//! The end of a transaction group: its checks, its stamp, its record.

use transaction::record::{Body, Record, TransactionBody};
use transaction::{RegionName, Sequence, WriteId};

use super::{Extractor, Resume, Sink};
use crate::error::ExtractError;
use crate::group::{Group, GroupKind, Xa};
use crate::stamp::Stamp;

impl<S: Sink> Extractor<S> {
    pub(super) fn finish(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        if let Some(origin) = self.ddl_origin(group) {
            return self.commit_ddl(group, origin);
        }
        self.check_tag(group)?;
        match group.xa.clone() {
            Some(Xa::Prepared(xid)) => return self.prepare(group, xid),
            Some(Xa::Commit(xid)) => self.recall(group, xid)?,
            Some(Xa::Rollback(xid)) => {
                // What was rolled back without being known was prepared before the log began, and is nothing.
                if let Some(prepared) = self.prepared.take(&xid) {
                    self.resume.executed.insert(prepared.gtid);
                }
                return Ok(());
            }
            Some(Xa::Begun(_)) | None => {}
        }
        if group.kind == GroupKind::Applied {
            self.commit_applied(group)
        } else if group.own_rows {
            self.flush_spool(group)?;
            self.commit_local(group)
        } else {
            Ok(())
        }
    }

    /// The rows are known, and wait.
    fn prepare(&mut self, group: &mut Group, xid: String) -> Result<(), ExtractError> {
        if group.own_rows && self.prepared.is_full(group.events.len()) {
            self.spool(group)?;
        }
        self.prepared.put(xid, group, self.place.file.clone());
        Ok(())
    }

    /// Puts the rows that were prepared into the group that commits them.
    fn recall(&mut self, group: &mut Group, xid: String) -> Result<(), ExtractError> {
        let Some(prepared) = self.prepared.take(&xid) else {
            let (gtid, place) = (group.gtid.to_string(), self.place.clone());
            return Err(ExtractError::XaUnknown { xid, gtid, place });
        };
        self.resume.executed.insert(prepared.gtid);
        (group.events, group.spool) = (prepared.events, prepared.spool);
        (group.checksums, group.own_rows) = (prepared.checksums, prepared.own_rows);
        group.kind = GroupKind::Local;
        Ok(())
    }

    /// Writes what was put aside of a group that commits.
    fn flush_spool(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        let Some(mut spool) = group.spool.take() else { return Ok(()) };
        let tail = std::mem::take(&mut group.events);
        while let Some(events) = spool.next()? {
            group.events = events;
            self.flush_chunk(group)?;
        }
        group.events = tail;
        Ok(())
    }

    fn commit_applied(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        self.check_row_count(group)?;
        if !group.repairs.is_empty() || !group.suspensions.is_empty() {
            group.before = Some(self.resume.stamper.clone());
        }
        for marker in &group.markers {
            self.note_applied(marker.origin, marker.sequence, marker.hlc);
        }
        // Repairs of this transaction have seen what it made of the suspended tables.
        std::mem::take(&mut group.suspensions).apply(&mut self.resume.stamper.suspended);
        if group.repairs.is_empty() { Ok(()) } else { self.commit_repairs(group) }
    }

    /// Whose DDL it is, by its GTID, which is made of an origin and a sequence number.
    fn ddl_origin(&self, group: &Group) -> Option<RegionName> {
        let sources = &self.resume.ddl_sources;
        sources.iter().find(|(uuid, _)| *uuid == group.gtid.source.uuid).map(|(_, origin)| *origin)
    }

    /// Applied DDL: its marker comes in a later transaction, but what clients do from here on has seen it.
    fn commit_ddl(&mut self, group: &Group, origin: RegionName) -> Result<(), ExtractError> {
        if !group.ddl {
            return Err(ExtractError::TagDisagrees {
                gtid: group.gtid.to_string(),
                place: self.place.clone(),
                what: "is no DDL statement, though its UUID is for DDL of that origin",
            });
        }
        let sequence = Sequence(group.gtid.number);
        let hlc = self.sink.hlc(origin, sequence)?;
        self.note_applied(origin, sequence, hlc);
        Ok(())
    }

    fn note_applied(&mut self, origin: RegionName, sequence: Sequence, hlc: transaction::Hlc) {
        let Resume { region, stamper, held, .. } = &mut self.resume;
        if origin == *region {
            // A lost tail that comes back, which every context has claimed all the time.
            held.tail_applied(sequence);
            stamper.last_hlc = stamper.last_hlc.max(hlc);
        } else {
            held.context.raise(origin, sequence);
            stamper.applied(origin, sequence, hlc);
        }
    }

    /// Allowed also where clients must not write: a repair is Concord's own work.
    fn commit_repairs(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        let stamp = self.local(group.commit_us);
        if self.is_logged(group, &stamp)? {
            return Ok(());
        }
        let Stamp { hlc, sequence, .. } = stamp;
        let first = WriteId { hlc, origin: self.resume.region, sequence, index: 0 };
        let (places, events) = std::mem::take(&mut group.repairs).into_parts(first);
        self.sink.repairs(&stamp, &places, &events)?;
        let Stamp { sequence, hlc, context, suspended } = stamp;
        let (gtid, commit_us) = (group.gtid, group.commit_us);
        let transaction = TransactionBody { context, suspended, gtid, commit_us, chunks: 0, events: &events };
        self.append(sequence, hlc, false, Body::Repair { places, transaction })
    }

    fn commit_local(&mut self, group: &mut Group) -> Result<(), ExtractError> {
        let stamp = self.stamp(group)?;
        if self.is_logged(group, &stamp)? {
            return Ok(());
        }
        self.feed(group, &stamp, true)?;
        let events = std::mem::take(&mut group.events);
        let body = Body::Transaction(TransactionBody {
            context: stamp.context,
            suspended: stamp.suspended,
            gtid: group.gtid,
            commit_us: group.commit_us,
            chunks: group.chunks,
            events: &events,
        });
        self.append(stamp.sequence, stamp.hlc, group.checksums, body)
    }

    /// Whether the log has the record of this group already, from before a restart. It must be the same one then.
    fn is_logged(&mut self, group: &Group, stamp: &Stamp) -> Result<bool, ExtractError> {
        let Some((sequence, logged)) = self.resume.logged.front().copied() else { return Ok(false) };
        if sequence != stamp.sequence || logged != group.gtid {
            return Err(ExtractError::HistoryDiffers {
                sequence,
                logged: logged.to_string(),
                found: group.gtid.to_string(),
                place: self.place.clone(),
            });
        }
        self.resume.logged.pop_front();
        Ok(true)
    }

    /// The last state of a marker in an applied transaction says how many rows the lane changed: nothing else may have changed
    /// any there. Taking ownership, and setting a marker for the first time, say 0 and change none.
    fn check_row_count(&self, group: &Group) -> Result<(), ExtractError> {
        match group.markers.last() {
            Some(marker) if marker.row_changes != group.rows => Err(ExtractError::RowCount {
                origin: marker.origin,
                said: marker.row_changes,
                found: group.rows,
                gtid: group.gtid.to_string(),
                place: self.place.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn check_tag(&self, group: &Group) -> Result<(), ExtractError> {
        let tag = group.gtid.source.tag.as_str();
        let disagrees = |what| {
            Err(ExtractError::TagDisagrees { gtid: group.gtid.to_string(), place: self.place.clone(), what })
        };
        let others = || group.markers.iter().any(|marker| marker.origin.as_str() != tag);
        match group.kind {
            GroupKind::Applied if !tag.is_empty() && tag != crate::OWN_TAG && others() => {
                disagrees("a marker of another origin")
            }
            GroupKind::Local if self.resume.peers.iter().any(|peer| peer.as_str() == tag) => {
                disagrees("no marker")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn append(
        &mut self,
        sequence: Sequence,
        hlc: transaction::Hlc,
        event_checksums: bool,
        body: Body<'_>,
    ) -> Result<(), ExtractError> {
        let record = Record {
            number: self.resume.next_record,
            sequence,
            hlc,
            lineage: self.resume.lineage,
            event_checksums,
            body,
        };
        self.record.clear();
        record.encode(&mut self.record);
        self.sink.append(&self.record)?;
        self.resume.next_record = self.resume.next_record.next();
        if self.record.capacity() > 2 * self.limits.chunk_len {
            self.record = Vec::new();
        }
        Ok(())
    }
}
