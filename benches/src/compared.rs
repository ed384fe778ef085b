//! What a promise costs: the drain by `concord`, beside the same drain by a `concord` that was built to break that promise.

use crate::drain;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::scene::{Backlog, Scene, TARGET};
use integration::Result;
use std::path::PathBuf;

/// A build of `concord` with a feature that only benches want.
#[derive(Debug)]
pub struct Build {
    name: &'static str,
    feature: &'static str,
    /// Environment variable that names the binary; `make bench` sets it.
    variable: &'static str,
    title: &'static str,
    /// What the rows of `concord` and of the build are called.
    rows: [&'static str; 2],
    figure: &'static str,
    /// The figure, of the rates of `concord` and of the build.
    judge: fn(f64, f64) -> f64,
}

/// Applies without looking for conflicts.
pub const BLIND: Build = Build {
    name: "conflict",
    feature: "blind",
    variable: "CONCORD_BLIND_BIN",
    title: "Drain with and without conflict detection",
    rows: ["with detection", "without"],
    figure: "conflict.check_cost",
    judge: |with, without| 1.0 - with / without,
};

/// Commits batches that have nothing in common in any order.
pub const RELAXED: Build = Build {
    name: "order",
    feature: "relaxed",
    variable: "CONCORD_RELAXED_BIN",
    title: "Drain with commit order kept and relaxed",
    rows: ["order kept", "order relaxed"],
    figure: "drain.ordered_ratio",
    judge: |kept, relaxed| kept / relaxed,
};

/// Drains in turn, or says why it cannot.
pub async fn run(
    build: &Build,
    scene: &mut Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let &Build { name, feature, variable, rows: [ours, others], .. } = build;
    let Some(binary) = std::env::var_os(variable).map(PathBuf::from) else {
        let reason = format!(
            "{variable} does not name a `concord` that was built with feature {feature}; `make bench` builds one"
        );
        progress.say(format!("{name}: not measured: {reason}"));
        report.gap(build.figure, &reason);
        return Ok(());
    };
    let wanted = drain::wanted(scene, backlog.workload).await?;
    let mut sheet = Sheet::new(name, build.title, &["transactions/s"]);
    let mut figures = Vec::new();
    let rounds = options.rounds();
    for round in 1..=rounds {
        let (our, _) = drain::concord(scene, backlog, &wanted).await?;
        let whole = scene.mesh.region(TARGET)?.concord.use_binary(binary.clone());
        let other = drain::concord(scene, backlog, &wanted).await;
        scene.mesh.region(TARGET)?.concord.use_binary(whole);
        let (other, _) = other?;
        progress.say(format!(
            "{name}: round {round} of {rounds}: {:.0}/s {ours}, {:.0}/s {others}",
            our.rate(),
            other.rate()
        ));
        sheet.add(ours, &[our.rate()]);
        sheet.add(others, &[other.rate()]);
        figures.push((build.judge)(our.rate(), other.rate()));
    }
    report.sheet(sheet);
    report.figure(build.figure, Sample::of(figures));
    Ok(())
}
