//! The images of older writes, read back from the logs where the batch does not hold them.

use std::time::Duration;

use conflict::{Image, Story, Write};
use transaction::{KeyHash, WriteId};

use super::Attempt;
use crate::code;
use crate::contest::Gathered;
use crate::effect::SourceTransaction;
use crate::found::Known;
use crate::recall::{Recall, Recalled, recall};
use crate::session::SqlFailure;
use crate::target::Target;

impl<T: Target> Attempt<'_, T> {
    /// The row as one write of a story left it.
    pub(super) async fn image_of(
        &mut self,
        images: &mut Gathered,
        story: &Story,
        place: usize,
        key: KeyHash,
    ) -> Result<Option<Image>, SqlFailure> {
        let write = &story.writes[place].write;
        if !write.live {
            return Ok(None);
        }
        self.gather(images, write.id, key).await?;
        conflict::Images::after(images, &write.id).cloned().map(Some).ok_or_else(|| {
            let missing = code::LOG_INCOMPLETE.halt(format_args!(
                "transaction {} of {} holds no image of the row that it left",
                write.id.sequence, write.id.origin
            ));
            missing.into()
        })
    }

    pub(super) async fn gather(
        &mut self,
        images: &mut Gathered,
        id: WriteId,
        key: KeyHash,
    ) -> Result<(), SqlFailure> {
        if !images.has(&id) {
            let recalled = self.recall(id, key).await?;
            images.put(id, recalled.before, recalled.after);
        }
        Ok(())
    }

    /// Reads a write back from the logs, as soon as it is durable there.
    pub(crate) async fn recall(&mut self, id: WriteId, key: KeyHash) -> Result<Recalled, SqlFailure> {
        const TRIES: usize = 1000;
        if let Some(known) = self.setup.shared.lately.lock().get(id, key) {
            return Ok(known);
        }
        for _ in 0..TRIES {
            let recalled = recall(self.setup.logs.as_ref(), &self.setup.shared.weights.read(), &id, key);
            match recalled {
                Ok(recalled) => {
                    self.setup.shared.lately.lock().put(id, key, recalled.clone());
                    return Ok(recalled);
                }
                Err(Recall::Needs(needs)) => self.target.weigh(&self.setup.shared, needs).await?,
                // Read from the binlog and not yet synced: a matter of milliseconds.
                Err(Recall::NotDurable) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(Recall::Halt(halt)) => return Err(halt.into()),
            }
        }
        Err(SqlFailure::Locked("a newer write is not durable yet".into()))
    }

    /// What the journal tells of a write.
    pub(crate) async fn known(
        &mut self,
        images: &mut Gathered,
        write: &Write,
        key: KeyHash,
        sources: &[SourceTransaction],
    ) -> Result<Known, SqlFailure> {
        let source = sources.iter().find(|source| source.sequence == write.id.sequence);
        if write.id.origin == self.origin
            && let Some(source) = source
            && images.has(&write.id)
        {
            return Ok(Known {
                before: conflict::Images::before(images, &write.id).cloned(),
                after: conflict::Images::after(images, &write.id).cloned(),
                context: source.context.clone(),
                gtid: source.gtid.to_string(),
                commit_us: source.commit_us,
            });
        }
        let Recalled { before, after, context, gtid, commit_us } = self.recall(write.id, key).await?;
        Ok(Known { before, after, context, gtid: gtid.to_string(), commit_us })
    }
}
