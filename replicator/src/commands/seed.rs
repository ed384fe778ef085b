//! `concord seed`: copies the mesh's tables from another region into this one.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use tokio::sync::watch;

use super::{CommandError, Outcome, check, run};
use crate::cli::SeedArgs;
use crate::config::Config;
use crate::region::{Region, seeding};

/// Copies, then ends; `concord run` goes on from there.
pub(crate) async fn execute(args: &SeedArgs, config: Config) -> Outcome {
    let refused = |e: &dyn std::fmt::Display| CommandError::Refused(e.to_string());
    if !args.yes {
        confirm(&config, args)?;
    }
    run::keep_files_private(&config);
    let (stop, shutdown) = watch::channel(false);
    let mut region = Region::open(config.clone(), shutdown).await.map_err(|e| refused(&e))?;
    let seeded = async {
        let source = seeding::source(&region, args.from).map_err(|e| refused(&e))?;
        run::preflight(args.untested_server, &config, check::Purpose::Seed).await?;
        let (mut conn, _) = region.claim_server().await.map_err(|e| refused(&e))?;
        region.start_pulls();
        seeding::seed(&region, &mut conn, &source).await.map_err(|e| refused(&e))
    }
    .await;
    stop.send_replace(true);
    region.stop().await;
    let seeded = seeded?;
    println!(
        "{}: {} tables with {} rows copied from {} and compared by checksum. Next: concord run",
        config.region.name, seeded.tables, seeded.rows, args.from
    );
    Ok(ExitCode::SUCCESS)
}

fn confirm(config: &Config, args: &SeedArgs) -> Result<(), CommandError> {
    let include: Vec<String> = config.mesh.tables.include().iter().map(ToString::to_string).collect();
    let question = format!(
        "This replaces every table of {} on {} by the copy of {}. Go on? [y/N] ",
        include.join(", "),
        config.region.mysql.address(),
        args.from
    );
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Refused(format!("{question}\nno one is there to answer; add --yes")));
    }
    print!("{question}");
    let mut line = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut line));
    match read {
        Ok(_) if matches!(line.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(CommandError::Refused("nothing was changed".into())),
    }
}
