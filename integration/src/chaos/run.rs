//! The whole course: regions in a network and on disks that fail, clients, faults, peace, judgement.

use super::disk::Disks;
use super::fault::{self, Kind};
use super::stage::Stage;
use crate::canary::Canary;
use crate::hot::run::{HotPlan, Report, run_through};
use crate::namespace::{Home, LEFT_OUT};
use crate::process;
use crate::shop::dice::Dice;
use crate::wan::Wan;
use crate::{MeshPlan, Result};
use std::path::PathBuf;
use std::time::Duration;

/// What a run shall be like.
#[derive(Debug, Clone)]
pub struct ChaosPlan {
    /// How many faults.
    pub faults: u32,
    /// One begins every so often.
    pub apart: Duration,
    /// For so long a concord is frozen; everything else lasts a third of it at most, but for the absence that lasts to the end.
    pub longest: Duration,
    /// Of these kinds only.
    pub kinds: &'static [Kind],
    /// Clients per region.
    pub writers: u64,
    /// Transactions a second of each client at most; 0 is as fast as the server answers.
    pub rate: u64,
    /// Where all randomness begins.
    pub seed: u64,
    /// A folder for everything, which is left there; `None` for a temporary one.
    pub dir: Option<PathBuf>,
    /// A build that may make a mistake; `None` for the product.
    pub canary: Option<Canary>,
}

const REGIONS: [&str; 3] = ["eu", "us", "ap"];
/// How much longer a region's disk takes for each sync: as behind a network. So power mostly fails while something is written and
/// not synced.
const SYNC_MS: &str = "25";

/// Runs it, on a runtime of its own. The calling thread must be in `home` and have started no other.
///
/// Where this account may not mount, faults of disks are left out, and that is said on stderr, captured or not.
pub fn run(home: Home, plan: &ChaosPlan) -> Result<Report> {
    let disks = match Disks::begin() {
        Ok(disks) => Some(disks),
        Err(error) => {
            process::say(&format!(
                "chaos: {LEFT_OUT} FAULTS OF DISKS, which take root and loop devices: {error}"
            ));
            None
        }
    };
    let wan = Wan::begin(home, &REGIONS)?;
    let names = REGIONS.map(str::to_owned);
    // Not in every run: where clocks jump, the referee knows less of which write is the newer one.
    let clocks = Dice::new(!plan.seed).below(3) == 0;
    let may_be = |kind: Kind| {
        plan.kinds.contains(&kind)
            && (disks.is_some() || !kind.is_of_disk())
            && (clocks || !kind.is_of_clock())
    };
    let faults = fault::draw(plan.seed, plan.faults, plan.apart, plan.longest, &names, may_be);
    let end = faults.last().map(|fault| fault.at).unwrap_or_default();
    let hot = HotPlan {
        regions: REGIONS.to_vec(),
        writers: plan.writers,
        duration: end,
        kills: 0,
        rate: plan.rate,
        thinks: Duration::ZERO,
        seed: plan.seed,
        servers_die: true,
        clocks_jump: clocks,
        dir: plan.dir.clone(),
        canary: plan.canary.clone(),
    };
    let mesh = MeshPlan::of(&REGIONS).wan(&wan).clocks().environment("CONCORD_TEST_SYNC_MS", SYNC_MS);
    let mut stage = Stage::new(wan, disks, faults, plan.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(crate::Error::io("start a runtime"))?;
    runtime.block_on(run_through(&hot, mesh, &mut stage))
}
