//! The least-privilege account of `concord`, made as a newcomer makes it.

use crate::{Result, Sql};
use std::path::Path;

/// The account's name.
pub const USER: &str = "concord";
/// The account's password on these scratch servers.
pub const PASSWORD: &str = "a scratch password";

/// Runs what `concord grants` prints for this configuration, and sets the password.
pub async fn create(sql: &mut Sql, config: &Path) -> Result<()> {
    let config = config.display().to_string();
    let printed = crate::concord::run(&["--config", &config, "grants"])?;
    sql.script(&printed).await?;
    sql.run(format!("ALTER USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")).await
}
