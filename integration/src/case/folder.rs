//! A case as it lies on disk.

use super::Script;
use crate::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// A group's name and a case's name, so that a schema's name has room for both and for the direction.
const NAME_BYTES_MAX: usize = 50;

/// One case: what both regions begin with, what each one's client runs, and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder above.
    pub group: String,
    /// The folder: a claim in a few words.
    pub name: String,
    /// Run in both regions before any Concord starts.
    pub schema: Script,
    /// What the client of eu runs first.
    pub eu: Script,
    /// What the client of us runs when that has arrived.
    pub us: Script,
    /// Queries that must answer nothing but 1 in both regions in the end.
    pub holds: Script,
    /// How it must stop; `None` if it must arrive.
    pub stop: Option<Stop>,
}

/// How a case that cannot be carried must stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Whether Concord must refuse to start, rather than halt at what the client runs.
    pub at_start: bool,
    /// What it must say of it, without regard to case.
    pub words: Vec<String>,
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.group, self.name)
    }
}

/// All cases of this crate, or the one that `CONCORD_CASE=group/name` names (`group` alone: all of that group).
pub fn all() -> Result<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases = Vec::new();
    for group in folders(&root)? {
        for folder in folders(&group)? {
            cases.push(Case::read(&folder)?);
        }
    }
    let Ok(wanted) = std::env::var("CONCORD_CASE") else {
        return Ok(cases);
    };
    let exists = |case: &Case| case.group == wanted || case.to_string() == wanted;
    if !cases.iter().any(exists) {
        return Err(Error::Unexpected(format!("CONCORD_CASE={wanted}: there is no such case or group")));
    }
    cases.retain(exists);
    Ok(cases)
}

impl Case {
    /// Reads a folder. A file of another name is refused: it would be passed over in silence.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut case = Self {
            group: word(folder.parent())?,
            name: word(Some(folder))?,
            schema: Script::default(),
            eu: Script::default(),
            us: Script::default(),
            holds: Script::default(),
            stop: None,
        };
        let wrong = |what: String| Error::Unexpected(format!("{}: {what}", folder.display()));
        if case.to_string().len() > NAME_BYTES_MAX {
            return Err(wrong(format!("group and name have more than {NAME_BYTES_MAX} letters together")));
        }
        for path in entries(folder)? {
            let text =
                std::fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
            let script = || Script::parse(&text, &path.display().to_string());
            match path.file_name().and_then(|name| name.to_str()) {
                Some("schema.sql") => case.schema = script()?,
                Some("eu.sql") => case.eu = script()?,
                Some("us.sql") => case.us = script()?,
                Some("holds.sql") => case.holds = script()?,
                Some("expect") => case.stop = Some(Stop::parse(&text).map_err(wrong)?),
                _ => return Err(wrong(format!("{} is no file of a case", path.display()))),
            }
        }
        if case.schema.steps.is_empty() {
            return Err(wrong("there is no schema.sql".to_owned()));
        }
        if case.eu.steps.is_empty() && case.us.steps.is_empty() && case.stop.is_none() {
            return Err(wrong("there is neither eu.sql nor us.sql".to_owned()));
        }
        Ok(case)
    }
}

impl Stop {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let (kind, first) = lines.next().and_then(|line| line.split_once(": ")).unwrap_or_default();
        let at_start = match kind {
            "halts" => false,
            "refuses" => true,
            _ => return Err("expect begins with neither `halts: ` nor `refuses: `".to_owned()),
        };
        Ok(Self { at_start, words: std::iter::once(first).chain(lines).map(str::to_lowercase).collect() })
    }
}

fn word(path: Option<&Path>) -> Result<String> {
    let name = path.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    if !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        Ok(name.to_owned())
    } else {
        Err(Error::Unexpected(format!("{name:?} names a group or a case: small letters, digits and _ only")))
    }
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let what = || Error::io(format!("read {}", dir.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(what())? {
        found.push(entry.map_err(what())?.path());
    }
    found.sort();
    Ok(found)
}
