//! Folders that are kept and put back, while no process uses them.

use integration::{Error, Result};
use std::path::Path;
use std::process::Command;

/// Makes `to` an exact copy of `from`; what was at `to` is gone.
pub fn replace(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io(format!("create {}", parent.display())))?;
    }
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([from, to])
        .status()
        .map_err(Error::io("run cp"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Unexpected(format!("cannot copy {} to {}", from.display(), to.display())))
    }
}

/// Removes a folder, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Waits until the system has written all copies to disk, so that no measured write queues behind them.
pub fn settle() -> Result<()> {
    Command::new("sync").status().map_err(Error::io("run sync")).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_gone_after_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("a/to"));
        std::fs::create_dir_all(from.join("inner")).unwrap();
        std::fs::write(from.join("inner/file"), "kept").unwrap();
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(to.join("stale"), "x").unwrap();
        replace(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("inner/file")).unwrap(), "kept");
        assert!(!to.join("stale").exists());
        remove(&to).unwrap();
        remove(&to).unwrap();
        assert!(!to.exists());
    }
}
