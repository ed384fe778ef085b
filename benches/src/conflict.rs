//! What finding conflicts costs: the same drain by `concord`, and by a `concord` that applies without looking (feature `blind`).

use crate::drain;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::scene::{Backlog, Scene, TARGET};
use integration::Result;
use std::path::PathBuf;

/// Names the binary that was built with feature `blind`; `make bench` sets it.
pub const VARIABLE: &str = "CONCORD_BLIND_BIN";

const FIGURE: &str = "conflict.check_cost";

/// Runs the group, or says why it cannot.
pub async fn run(
    scene: &mut Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let Some(blind) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        let reason = format!(
            "{VARIABLE} does not name a `concord` that was built with feature blind; `make bench` builds one"
        );
        progress.say(format!("conflict: not measured: {reason}"));
        report.gap(FIGURE, &reason);
        return Ok(());
    };
    let wanted = drain::wanted(scene, backlog.workload).await?;
    let mut sheet = Sheet::new("conflict", "Drain with and without conflict detection", &["transactions/s"]);
    let mut costs = Vec::new();
    let rounds = options.rounds();
    for round in 1..=rounds {
        let (with, _) = drain::concord(scene, backlog, &wanted).await?;
        let whole = scene.mesh.region(TARGET)?.concord.use_binary(blind.clone());
        let without = drain::concord(scene, backlog, &wanted).await;
        scene.mesh.region(TARGET)?.concord.use_binary(whole);
        let (without, _) = without?;
        progress.say(format!(
            "conflict: round {round} of {rounds}: {:.0}/s with detection, {:.0}/s without",
            with.rate(),
            without.rate()
        ));
        sheet.add("with detection", &[with.rate()]);
        sheet.add("without", &[without.rate()]);
        costs.push(1.0 - with.rate() / without.rate());
    }
    report.sheet(sheet);
    report.figure(FIGURE, Sample::of(costs));
    Ok(())
}
