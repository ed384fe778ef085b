//! From a history to a row.

use transaction::WriteId;
use transaction::binlog::EventError;

use crate::image::{Image, Images};
use crate::merge::Merge;
use crate::policy::Policy;
use crate::{Concurrent, Story, Write};

/// What a row becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As that write of the story left it: its after image, or no row if it is not live.
    As(usize),
    /// A row that no one wrote.
    Merged {
        /// The row.
        image: Image,
        /// The write of the story whose whole after image the row takes if the server refuses the merged one (a CHECK): the
        /// newest live one from the start on.
        fallback: usize,
    },
    /// Concurrent writes met under the policy `halt`: a person decides.
    Halt,
}

/// Why a history could not be folded. Nothing was decided; the same in every region that has the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// An image that the policy needs was not there.
    #[error(
        "the {which} image of row change {} of transaction {} of {} is needed to merge a row and could not be read: see \
         that the log of {} reaches back to it",
        write.index, write.sequence, write.origin, write.origin
    )]
    NoImage {
        /// The write.
        write: WriteId,
        /// `before` or `after`.
        which: &'static str,
    },
    /// An image that does not fit its table.
    #[error(
        "an image of row change {} of transaction {} of {} cannot be read: {error}",
        write.index, write.sequence, write.origin
    )]
    Image {
        /// The write.
        write: WriteId,
        /// What is wrong with it.
        error: EventError,
    },
    /// The history holds nothing to begin with.
    #[error("a story without a write at its start was to be folded: a bug in whoever told it")]
    Empty,
}

/// A write of a story that is being folded, with its images at hand.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    at: usize,
    write: &'a Write,
    images: &'a dyn Images,
}

impl<'a> Version<'a> {
    /// The write.
    pub fn write(&self) -> &'a Write {
        self.write
    }

    /// Whether it leaves a row behind.
    pub fn live(&self) -> bool {
        self.write.live
    }

    /// The row as the write found it; `None` for an insert.
    pub fn before(&self) -> Option<&'a Image> {
        self.images.before(&self.write.id)
    }

    /// The row as the write left it; `None` for a delete.
    pub fn after(&self) -> Result<Option<&'a Image>, FoldError> {
        match self.images.after(&self.write.id) {
            None if self.write.live => Err(FoldError::NoImage { write: self.write.id, which: "after" }),
            found => Ok(found.filter(|_| self.write.live)),
        }
    }
}

impl Version<'_> {
    /// An image of this write cannot be read.
    pub(crate) fn fail(&self, error: EventError) -> FoldError {
        FoldError::Image { write: self.write.id, error }
    }
}

impl std::fmt::Debug for Version<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write.fmt(f)
    }
}

/// The writes before a version that it is concurrent with: at least one.
#[derive(Clone, Copy)]
pub struct Rivals<'a> {
    story: &'a Story,
    concurrent: &'a Concurrent,
    images: &'a dyn Images,
}

impl<'a> Rivals<'a> {
    /// The rivals in fold order. There may be as many as a row has unstable writes: stop at the first that decides.
    pub fn iter(&self) -> impl Iterator<Item = Version<'a>> + use<'a> {
        let Self { story, concurrent, images } = *self;
        concurrent.iter().map(move |at| Version { at: *at, write: &story.writes[*at].write, images })
    }
}

impl std::fmt::Debug for Rivals<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The row during a fold.
#[derive(Debug, Clone)]
pub enum Row<'a> {
    /// As that write left it.
    As(Version<'a>),
    /// Of several writes.
    Merged(Box<Merge>),
    /// Undecided, until a write comes that has seen all of it.
    Halted,
}

impl Row<'_> {
    /// Whether there is a row. One that is undecided counts as there.
    pub fn live(&self) -> bool {
        match self {
            Self::As(version) => version.live(),
            Self::Merged(_) | Self::Halted => true,
        }
    }
}

/// Folds `story` by `policy`: what the row must be wherever this history is held.
///
/// `images` need be there for the writes from the start on and those they are concurrent with, and only if the policy
/// reads images.
pub fn fold(policy: &dyn Policy, story: &Story, images: &dyn Images) -> Result<Outcome, FoldError> {
    let first = story.writes.get(story.start).ok_or(FoldError::Empty)?;
    let mut row = Row::As(Version { at: story.start, write: &first.write, images });
    for (at, chapter) in story.writes.iter().enumerate().skip(story.start + 1) {
        let next = Version { at, write: &chapter.write, images };
        row = if chapter.concurrent.is_empty() {
            Row::As(next)
        } else {
            policy.step(row, next, Rivals { story, concurrent: &chapter.concurrent, images })?
        };
    }
    match row {
        Row::As(version) => Ok(Outcome::As(version.at)),
        Row::Halted => Ok(Outcome::Halt),
        Row::Merged(merge) => {
            let live = |at: &usize| story.writes[*at].write.live;
            let fallback = (story.start..story.writes.len()).rev().find(live).ok_or(FoldError::Empty)?;
            Ok(match merge.finish() {
                Some(image) => Outcome::Merged { image, fallback },
                None => Outcome::As(fallback),
            })
        }
    }
}
