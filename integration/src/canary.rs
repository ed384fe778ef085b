//! Builds of Concord that make a deliberate mistake, which a run has to notice.

use crate::{MeshPlan, Result, binary};
use std::path::PathBuf;
use std::time::Duration;

/// With which Concord a run is played, instead of the product.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The build with feature `canary`.
    pub binary: PathBuf,
    /// The mistake that every region makes, as the build names it; `None` for the same build without one.
    pub mistake: Option<&'static str>,
    /// For how long a run waits for quiet, which a mistake may prevent. With one, a region that has halted is not waited for at all.
    pub patience: Duration,
}

impl Canary {
    /// Finds the build.
    pub fn with(mistake: Option<&'static str>, patience: Duration) -> Result<Self> {
        Ok(Self { binary: binary::canary()?, mistake, patience })
    }

    /// The mesh with this Concord in every region.
    pub(crate) fn perch(&self, mesh: MeshPlan) -> MeshPlan {
        let mesh = mesh.binary(&self.binary);
        match self.mistake {
            Some(mistake) => mesh.environment("CONCORD_CANARY", mistake),
            None => mesh,
        }
    }
}
