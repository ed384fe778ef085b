//! `concord log verify`.

use std::io::Write;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use log_store::{Store, VerifyProgress, VerifyReport};
use transaction::RegionName;

use super::failure::Failure;

/// Reads every record of every log, or of one; ends with 1 if any is damaged, with the damage named.
pub(super) fn verify(
    store: &Store,
    origin: Option<RegionName>,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let origins = match origin {
        Some(origin) => vec![origin],
        None => store.origins()?,
    };
    if origins.is_empty() {
        writeln!(out, "{} holds no log yet", store.dir().display()).map_err(Failure::Output)?;
    }
    let mut whole = true;
    for origin in origins {
        let bar = progress_bar(origin);
        // Not through an opened log, so that one too damaged to be opened is looked at too.
        let report = store.verify(origin, &mut |progress| advance(&bar, progress));
        bar.finish_and_clear();
        let report = report?;
        whole &= report.damages.is_empty();
        say(origin, &report, out).map_err(Failure::Output)?;
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn advance(bar: &ProgressBar, progress: VerifyProgress) {
    bar.set_length(progress.bytes_total);
    bar.set_position(progress.bytes);
}

/// On stderr, and only if that is a terminal.
pub(super) fn progress_bar(origin: RegionName) -> ProgressBar {
    let bar = ProgressBar::new(0).with_message(format!("log of {origin}"));
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn say(origin: RegionName, report: &VerifyReport, out: &mut dyn Write) -> std::io::Result<()> {
    let judgement = if report.damages.is_empty() { "whole" } else { "DAMAGED" };
    writeln!(
        out,
        "{origin}: {judgement}; {} records in {} segments, {} bytes",
        report.records, report.segments, report.bytes
    )?;
    for damage in &report.damages {
        writeln!(out, "  {damage}")?;
    }
    if !report.damages.is_empty() {
        writeln!(
            out,
            "  to mend it: stop concord; concord log repair --origin {origin} --from REGION; start again"
        )?;
    }
    if report.torn_bytes > 0 {
        writeln!(
            out,
            "  {} bytes at the end are no whole record: being written just now, or torn by a crash and dropped at the next start",
            report.torn_bytes
        )?;
    }
    if report.stale_indexes > 0 {
        writeln!(
            out,
            "  {} index files do not fit and will be built anew; no data is concerned",
            report.stale_indexes
        )?;
    }
    Ok(())
}
