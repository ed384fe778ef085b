//! Which rule decides the conflicts of which table.

use std::sync::Arc;

use conflict::Policy;

/// How conflicts of one table are decided.
#[derive(Debug, Clone)]
pub struct TablePolicy {
    /// The rule.
    pub policy: Arc<dyn Policy>,
    /// Conflicts are reported and not decided: what comes is taken as it is, as a plain replica would.
    pub detect_only: bool,
}

/// Schema and table in, rule out. The same in every region.
pub type Policies = Arc<dyn Fn(&str, &str) -> TablePolicy + Send + Sync>;
