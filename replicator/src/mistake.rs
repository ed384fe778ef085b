//! The switch of a build with feature `canary`: which deliberate mistake this process makes.

use canary::Mistake;

use crate::commands::CommandError;

/// Names the mistake; without it, none is made.
const VARIABLE: &str = "CONCORD_CANARY";

/// Makes the mistake that the environment names, and says so. A name that no mistake has is refused, since a run without any would pass
/// for one with it.
pub(crate) fn make_as_asked() -> Result<(), CommandError> {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let asked = name.to_str().and_then(Mistake::named);
    let Some(mistake) = asked.filter(|mistake| canary::make(*mistake)) else {
        let names = Mistake::ALL.map(Mistake::name).join(", ");
        return Err(CommandError::Refused(format!(
            "{VARIABLE}={} names no mistake; there are: {names}. Unset it",
            name.display()
        )));
    };
    tracing::warn!(
        "THIS PROCESS DOES ONE THING WRONG ON PURPOSE, and rows will be lost: {VARIABLE}={} is set; it is for tests only",
        mistake.name()
    );
    Ok(())
}
