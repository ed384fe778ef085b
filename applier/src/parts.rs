//! The rows of one target transaction, part by part.

use std::borrow::Cow;
use std::sync::Arc;

use transaction::binlog::{SessionState, Tables};
use transaction::record::{Body, Record};
use transaction::{RecordNumber, RegionName};

use crate::code;
use crate::effect::{Carries, DecodeError, Part, Rules, SourceTransaction};
use crate::feed::Large;
use crate::logs::Logs;
use crate::scheduler::Setup;
use crate::session::SqlFailure;
use crate::target::Target;

/// What one target transaction applies: a batch in memory, or a chain that is read part by part, as often as needed.
pub(crate) enum Parts<'a> {
    One(&'a Part),
    Chain(Chain<'a>),
}

/// A large transaction. Its parts are read in order once, later in any order.
pub(crate) struct Chain<'a> {
    origin: RegionName,
    large: &'a Large,
    /// Whose rows count.
    carries: Carries,
    /// Per part, the table maps and the next index that hold at its start.
    starts: parking_lot::Mutex<Vec<(Tables, u32)>>,
    /// What its BEGIN, in the first part, said of the session.
    session: parking_lot::Mutex<Option<Arc<SessionState>>>,
}

impl<'a> Parts<'a> {
    /// A large transaction, of which the tables count that are carried.
    pub(crate) fn chain(logs: &dyn Logs, origin: RegionName, large: &'a Large, carries: Carries) -> Self {
        let starts = parking_lot::Mutex::new(vec![(Tables::through(logs.view(origin)), 0)]);
        Self::Chain(Chain { origin, large, carries, starts, session: Default::default() })
    }
}

impl Parts<'_> {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Chain(chain) => chain.large.chunks as usize + 1,
        }
    }

    /// The source transactions.
    pub(crate) fn sources(&self) -> &[SourceTransaction] {
        match self {
            Self::One(part) => &part.transactions,
            Self::Chain(chain) => std::slice::from_ref(&chain.large.transaction),
        }
    }

    /// Refuses to take all rows of a large transaction into memory.
    pub(crate) fn fit_in_memory(&self) -> Result<(), SqlFailure> {
        // A chunk is about 1 MiB of events.
        const CHUNKS_MAX: usize = 32;
        if self.count() <= CHUNKS_MAX {
            return Ok(());
        }
        let too_large = code::CONSTRAINT_CLASH.halt(format_args!(
            "a transaction in {} parts clashes with rows here at a unique key or foreign key, or finds rows that are not as \
             their history says; only smaller ones are settled row by row. Remove the rows that are in its way in this \
             region, then resume",
            self.count()
        ));
        Err(too_large.into())
    }

    pub(crate) async fn load(
        &self,
        place: usize,
        setup: &Setup,
        target: &mut impl Target,
    ) -> Result<Cow<'_, Part>, SqlFailure> {
        match self {
            Self::One(part) => Ok(Cow::Borrowed(part)),
            Self::Chain(chain) => loop {
                match chain.read(place, setup)? {
                    Ok(part) => return Ok(Cow::Owned(part)),
                    Err(needs) => target.weigh(&setup.shared, needs).await?,
                }
            },
        }
    }
}

impl Chain<'_> {
    /// Reads one part; the inner error is what must be asked for first.
    fn read(
        &self,
        place: usize,
        setup: &Setup,
    ) -> Result<Result<Part, Vec<transaction::key::Need>>, SqlFailure> {
        let number = RecordNumber(self.large.first_chunk.0 + place as u64);
        let mut reader = setup.logs.reader(self.origin, number)?;
        let cut = || {
            code::LOG_INCOMPLETE
                .halt(format_args!("record {number} of {} is missing in its log", self.origin))
        };
        let bytes = reader.next()?.ok_or_else(cut)?;
        let record = Record::decode(bytes).map_err(code::of_record)?;
        if record.number != number {
            return Err(cut().into());
        }
        let events = match &record.body {
            Body::Chunk { index, events } if *index as usize == place => events,
            Body::Transaction(body) if body.chunks as usize == place => body.events,
            _ => return Err(cut().into()),
        };
        let mut starts = self.starts.lock();
        let (mut tables, mut next_index) = starts.get(place).cloned().ok_or_else(cut)?;
        let weights = setup.shared.weights.read();
        let rules = Rules { carries: &self.carries, weights: &weights, ddl: &setup.ddl };
        let mut part = Part::default();
        let session = self.session.lock().clone();
        part.begin(SourceTransaction { session, ..self.large.transaction.clone() });
        match part.add_events(events, record.event_checksums, &mut tables, &mut next_index, &rules) {
            Ok(()) => {
                if starts.len() == place + 1 {
                    starts.push((tables, next_index));
                }
                *self.session.lock() = part.transactions.first().and_then(|only| only.session.clone());
                Ok(Ok(part))
            }
            Err(DecodeError::Needs(needs)) => Ok(Err(needs)),
            Err(DecodeError::Table { schema, table, reason }) => {
                Err(SqlFailure::Table { schema, table, reason: reason.to_string() })
            }
            Err(other) => Err(other.code().halt(other).into()),
        }
    }
}
