//! Rows that no write of the batch is about, but that stand in the way of one.

use conflict::{Image, Story, Write};
use transaction::KeyHash;
use transaction::binlog::{Column, ColumnType};

use super::Attempt;
use crate::code;
use crate::contest::{Desired, Gathered, Here, Verdict, images_needed, verdict};
use crate::session::SqlFailure;
use crate::target::Target;

impl<T: Target> Attempt<'_, T> {
    /// A row that no write of the batch is about, locked by now, as it is. `image` has its primary key.
    pub(crate) async fn outsider(&mut self, key: KeyHash, image: Image) -> Result<Desired, SqlFailure> {
        // Whoever wrote it last may have committed a moment ago.
        self.pass().await?;
        let story = self.setup.shared.index.lock().story(key).map_err(code::of_history)?;
        let Some(story) = story.filter(|story| self.counts(story)) else {
            // It counts as older than any other. The logs may no longer have it: the server does.
            let (here, now) = match self.row(&image).await? {
                Some(row) => (Here::Known(row.clone()), row),
                None => (Here::OneOf(Vec::new()), image),
            };
            let row = Desired::outsider(key, now.clone(), here, Some(now));
            return Ok(Desired { after: self.first.place_after(), ..row });
        };
        let policy = (self.setup.policies)(&image.table.schema, &image.table.table).policy;
        let mut images = Gathered::default();
        for id in images_needed(policy.as_ref(), &story) {
            self.gather(&mut images, id, key).await?;
        }
        let (now, here) = match verdict(policy.as_ref(), &story, &images)? {
            Verdict::As(place) => {
                let now = self.image_of(&mut images, &story, place, key).await?;
                (now.clone(), now.map_or(Here::OneOf(Vec::new()), Here::Known))
            }
            Verdict::Merged { image, fallback } => {
                let fallback = self.image_of(&mut images, &story, fallback, key).await?;
                (Some(image.clone()), Here::OneOf([Some(image), fallback].into_iter().flatten().collect()))
            }
            Verdict::Halt => (None, Here::OneOf(Vec::new())),
        };
        let now = now.unwrap_or(image);
        let newest = story.newest().copied();
        let row = Desired::outsider(key, now.clone(), here, Some(now));
        Ok(Desired { newest, after: newest.as_ref().and_then(Write::place_after), ..row })
    }

    /// A row as the server has it, if it can tell: the text of a JSON value does not say all of it.
    async fn row(&mut self, image: &Image) -> Result<Option<Image>, SqlFailure> {
        let table = &image.table;
        let is_json = |column: &Column| matches!(column.kind, ColumnType::Json(_));
        if table.columns.iter().any(is_json) || self.is_fitted(table).await? {
            return Ok(None);
        }
        let row = self.target.row(table, &image.bytes).await?;
        Ok(row.map(|bytes| Image { table: table.clone(), bytes }))
    }

    /// Whether a row's newest write tells how old the row is: if the batch's first transaction has seen all of its history, what
    /// came later may have been pruned.
    fn counts(&self, story: &Story) -> bool {
        let first = &self.first.id;
        story.writes.iter().any(|chapter| {
            let id = &chapter.write.id;
            chapter.from_batch
                || if id.origin == first.origin {
                    id.sequence >= first.sequence
                } else {
                    !self.first_context.covers(id.origin, id.sequence)
                }
        })
    }

    /// A row that is not there and that no write of the batch is about. `image` has its primary key.
    pub(crate) async fn outsider_absent(
        &mut self,
        key: KeyHash,
        image: Image,
    ) -> Result<Desired, SqlFailure> {
        self.pass().await?;
        let story = self
            .setup
            .shared
            .index
            .lock()
            .story(key)
            .map_err(code::of_history)?
            .filter(|story| self.counts(story));
        let newest = story.and_then(|story| story.newest().copied());
        let after = newest.as_ref().or(Some(&self.first)).and_then(Write::place_after);
        Ok(Desired { newest, after, ..Desired::outsider(key, image, Here::Absent, None) })
    }

    /// A row that is gone, as its fold last had it, and whether that is a merge. `None` if that cannot be told, since what its
    /// history says may not be the newest.
    pub(crate) async fn ghost(&mut self, key: KeyHash) -> Result<Option<(Image, bool)>, SqlFailure> {
        let story = self.overlay.story(&self.setup.shared.index.lock(), key).map_err(code::of_history)?;
        let Some(mut story) = story.filter(|story| self.counts(story)) else { return Ok(None) };
        let contest = self.contests.all.iter().find(|contest| contest.key == key);
        let mut images = Gathered::of(contest.map_or(&[][..], |contest| &contest.writes));
        let Some(first) = story.writes.get(story.start) else { return Ok(None) };
        let first = first.write.id;
        self.gather(&mut images, first, key).await?;
        let Some(table) = images.table(&first) else { return Ok(None) };
        let policy = (self.setup.policies)(&table.schema, &table.table).policy;
        for id in images_needed(policy.as_ref(), &story) {
            self.gather(&mut images, id, key).await?;
        }
        while story.writes.len() > story.start + 1 {
            story.writes.pop();
            match verdict(policy.as_ref(), &story, &images)? {
                Verdict::As(place) => {
                    if let Some(image) = self.image_of(&mut images, &story, place, key).await? {
                        return Ok(Some((image, false)));
                    }
                }
                Verdict::Merged { fallback, .. } if self.lessons.refused.contains(&key) => {
                    let image = self.image_of(&mut images, &story, fallback, key).await?;
                    return Ok(image.map(|image| (image, false)));
                }
                Verdict::Merged { image, .. } => return Ok(Some((image, true))),
                Verdict::Halt => return Ok(None),
            }
        }
        Ok(conflict::Images::before(&images, &first).cloned().map(|image| (image, false)))
    }
}
