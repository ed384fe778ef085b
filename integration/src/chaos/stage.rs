//! Faults on real processes, servers, disks and links: how each begins, and how it ends.

use super::disk::{Disk, Disks};
use super::fault::{Fault, Kind};
use super::segments::{self, Ends};
use crate::config::write_secret;
use crate::hot::run::Troubles;
use crate::shop::dice::Dice;
use crate::wan::{Path as Way, Wan};
use crate::{Concord, Error, Mesh, Result, account};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Size of a region's disk, MiB; more than a run writes.
const DISK_MIB: u64 = 512;
/// A fault whose region has another one waits for so long before it is tried again.
const LATER: Duration = Duration::from_millis(250);

/// The faults of one run.
#[derive(Debug)]
pub struct Stage {
    wan: Wan,
    /// By region; none where faults of disks are left out.
    disks: BTreeMap<String, Disk>,
    may_mount: Option<Disks>,
    /// Those to come, the next one last.
    to_come: Vec<Fault>,
    /// Those under way, and when they end.
    under_way: Vec<(Duration, Fault)>,
    passwords: u32,
    /// How much of what was not synced a power loss leaves.
    dice: Dice,
    /// When it was last looked whether somebody waits for a clock; `None` as long as none was ahead.
    looked: Option<Duration>,
}

/// How far a clock is off.
const HOUR: Duration = Duration::from_secs(3600);
/// After what time a person looks whether somebody waits for a clock.
const LOOKED_AFTER: Duration = Duration::from_secs(5);

impl Stage {
    /// Nothing is wrong yet.
    pub fn new(wan: Wan, may_mount: Option<Disks>, mut faults: Vec<Fault>, seed: u64) -> Self {
        faults.reverse();
        Self {
            wan,
            disks: BTreeMap::new(),
            may_mount,
            to_come: faults,
            under_way: Vec::new(),
            passwords: 0,
            dice: Dice::new(seed),
            looked: None,
        }
    }

    /// The network between the regions.
    pub fn wan(&self) -> &Wan {
        &self.wan
    }

    /// Whether something else than a link is wrong with a region.
    fn is_busy(&self, region: &str) -> bool {
        self.under_way.iter().any(|(_, fault)| fault.region == region && !fault.kind.is_of_link())
    }

    /// Whether nothing of it will run before all is over.
    fn is_away(&self, region: &str) -> bool {
        self.under_way.iter().any(|(_, fault)| fault.region == region && fault.kind == Kind::Away)
    }

    async fn begin(&mut self, mesh: &mut Mesh, fault: &Fault) -> Result<()> {
        let name = fault.region.as_str();
        let disk = self.disks.get(name);
        let (names, data) = (mesh.names(), mesh.dir().join(name).join("concord"));
        let region = mesh.region(name)?;
        match fault.kind {
            Kind::KillConcord | Kind::Away => region.concord.kill(),
            Kind::StopConcord => stop(&mut region.concord).await?,
            Kind::KillServer => region.server.kill(),
            Kind::StopServer => region.server.stop().await?,
            Kind::KillBoth => {
                region.concord.kill();
                region.server.kill();
            }
            Kind::PowerLoss => {
                // Still, so that nothing is given out that the disk's content lacks.
                region.concord.stand_still().await?;
                let disk = disk.ok_or_else(no_disk)?;
                let ends = Ends::of(&data, &names)?;
                disk.snapshot()?;
                region.concord.kill();
                disk.go_back()?;
                let (left, lost) = ends.leave_some(&mut self.dice)?;
                println!("{:>9}of {lost} bytes that were not synced, {left} are left", "");
            }
            Kind::Freeze => region.concord.signal(Signal::SIGSTOP)?,
            Kind::FullDisk => disk.ok_or_else(no_disk)?.fill()?,
            Kind::ReadOnlyDisk => disk.ok_or_else(no_disk)?.abort()?,
            Kind::Purge => purge(mesh, name).await?,
            Kind::Password => {
                self.passwords += 1;
                change_password(mesh, name, &format!("a scratch password, number {}", self.passwords))
                    .await?;
            }
            Kind::ClockAhead => region.clock.as_ref().ok_or_else(no_clock)?.set(HOUR, Duration::ZERO)?,
            Kind::ClockBehind => region.clock.as_ref().ok_or_else(no_clock)?.set(Duration::ZERO, HOUR)?,
            Kind::Partition | Kind::OneWay | Kind::BadLink | Kind::SlowPeer => {}
        }
        self.links()
    }

    async fn end(&mut self, mesh: &mut Mesh, fault: &Fault) -> Result<()> {
        let disk = self.disks.get(&fault.region);
        let region = mesh.region(&fault.region)?;
        match fault.kind {
            Kind::KillConcord | Kind::StopConcord | Kind::PowerLoss | Kind::Away => region.concord.spawn()?,
            Kind::KillServer | Kind::StopServer => region.server.start().await?,
            Kind::KillBoth => {
                // It may come before its server.
                region.concord.spawn()?;
                region.server.start().await?;
            }
            Kind::Freeze => region.concord.signal(Signal::SIGCONT)?,
            Kind::FullDisk => {
                disk.ok_or_else(no_disk)?.make_room()?;
                // A log that could not be written stays stopped until a restart, as the runbook says.
                region.concord.kill();
                region.concord.spawn()?;
            }
            Kind::ReadOnlyDisk => {
                region.concord.kill();
                disk.ok_or_else(no_disk)?.mount_anew()?;
                region.concord.spawn()?;
            }
            Kind::ClockAhead | Kind::ClockBehind => {
                region.clock.as_ref().ok_or_else(no_clock)?.set(Duration::ZERO, Duration::ZERO)?;
            }
            Kind::Purge | Kind::Password => {}
            Kind::Partition | Kind::OneWay | Kind::BadLink | Kind::SlowPeer => {}
        }
        self.links()
    }

    /// Has a region apply what is stamped ahead of its clock, as its status says that a person may.
    async fn accept_skew(&self, mesh: &mut Mesh, name: &str) -> Result<()> {
        let others: Vec<String> = mesh.names().into_iter().filter(|other| other != name).collect();
        let concord = &mesh.region(name)?.concord;
        // Whoever is not there yet is looked at again.
        let Ok(status) = concord.status().await else { return Ok(()) };
        let reasons = status.reasons().join("\n");
        for origin in others {
            if reasons.contains(&format!("concord accept-skew {origin}")) {
                let _ = concord.post(&format!("/v1/accept-skew?origin={origin}")).await;
            }
        }
        Ok(())
    }

    /// Makes every path what the faults under way say of it; the last one that says something counts.
    fn links(&self) -> Result<()> {
        self.wan.set_all(Way::OPEN);
        for (_, Fault { kind, region, other, .. }) in &self.under_way {
            let bad = Way {
                delay: Duration::from_millis(60),
                jitter: Duration::from_millis(30),
                loss: 0.01,
                ..Way::OPEN
            };
            match kind {
                Kind::Partition => {
                    self.wan.set(region, other, Way::CUT)?;
                    self.wan.set(other, region, Way::CUT)?;
                }
                Kind::OneWay => self.wan.set(region, other, Way::CUT)?,
                Kind::BadLink => {
                    self.wan.set(region, other, bad)?;
                    self.wan.set(other, region, bad)?;
                }
                Kind::SlowPeer => {
                    for place in self.wan.places().iter().filter(|place| place.region != *region) {
                        let slow = Way { rate: Some(20_000), queue_bytes: 64 << 10, ..Way::OPEN };
                        self.wan.set(region, &place.region, slow)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Troubles for Stage {
    async fn prepare(&mut self, mesh: &mut Mesh) -> Result<()> {
        let Some(disks) = self.may_mount else { return Ok(()) };
        for region in &mesh.regions {
            let at = mesh.dir().join(&region.name).join("concord");
            std::fs::create_dir_all(&at).map_err(Error::io(format!("create {}", at.display())))?;
            let image = mesh.dir().join(format!("{}.disk", region.name));
            self.disks.insert(region.name.clone(), Disk::make(disks, &image, &at, DISK_MIB)?);
        }
        Ok(())
    }

    async fn tick(&mut self, mesh: &mut Mesh, elapsed: Duration) -> Result<()> {
        while let Some(at) = self.under_way.iter().position(|(end, _)| *end <= elapsed) {
            let (_, fault) = self.under_way.remove(at);
            self.end(mesh, &fault).await?;
        }
        while let Some(mut fault) = self.to_come.pop_if(|fault| fault.at <= elapsed) {
            if !fault.kind.is_of_link() && self.is_away(&fault.region) {
                std::mem::swap(&mut fault.region, &mut fault.other);
            }
            if !fault.kind.is_of_link() && self.is_busy(&fault.region) {
                fault.at = elapsed + LATER;
                self.to_come.push(fault);
                break;
            }
            println!("{fault}");
            let end = if fault.kind == Kind::Away { Duration::MAX } else { elapsed + fault.lasting };
            self.under_way.push((end, fault.clone()));
            self.begin(mesh, &fault).await?;
            if fault.kind == Kind::ClockAhead {
                self.looked = Some(elapsed);
            }
        }
        if self.looked.is_some_and(|last| elapsed > last + LOOKED_AFTER) {
            self.looked = Some(elapsed);
            for name in mesh.names().into_iter().filter(|name| !self.is_busy(name)) {
                self.accept_skew(mesh, &name).await?;
            }
        }
        for index in 0..mesh.regions.len() {
            if !self.is_busy(&mesh.regions[index].name) {
                mesh.regions[index].concord.check_running()?;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.to_come.is_empty() && self.under_way.iter().all(|(_, fault)| fault.kind == Kind::Away)
    }

    async fn heal(&mut self, mesh: &mut Mesh) -> Result<()> {
        for (_, fault) in std::mem::take(&mut self.under_way) {
            self.end(mesh, &fault).await?;
        }
        Ok(())
    }

    async fn look(&mut self, mesh: &mut Mesh) -> Result<()> {
        if self.looked.is_some() {
            for name in mesh.names() {
                self.accept_skew(mesh, &name).await?;
            }
        }
        Ok(())
    }

    async fn inspect(&mut self, mesh: &mut Mesh) -> Result<()> {
        let names = mesh.names();
        for origin in &names {
            let own = segments::records(&mesh.dir().join(origin).join("concord").join(origin))?;
            for region in names.iter().filter(|region| *region != origin) {
                let copy = segments::records(&mesh.dir().join(region).join("concord").join(origin))?;
                if !own.starts_with(&copy) {
                    let at = own.iter().zip(&copy).position(|(one, other)| one != other);
                    return Err(Error::Unexpected(format!(
                        "the log of {origin} and its copy in {region} differ at byte {at:?} of {} and {}",
                        own.len(),
                        copy.len()
                    )));
                }
            }
        }
        // Before the folders below them are removed.
        self.disks.clear();
        Ok(())
    }
}

fn no_disk() -> Error {
    Error::Unexpected("a fault of a disk was drawn, and there are no disks".to_owned())
}

fn no_clock() -> Error {
    Error::Unexpected("a fault of a clock was drawn, and no clock can be set".to_owned())
}

/// Stops it in order if it answers. One that was started a moment ago has no handler for the signal yet and ends by it.
async fn stop(concord: &mut Concord) -> Result<()> {
    match concord.get("/healthz").await {
        Ok(_) => concord.stop().await,
        Err(_) => {
            concord.kill();
            Ok(())
        }
    }
}

/// A new binlog, and away with those that no restart needs.
async fn purge(mesh: &mut Mesh, name: &str) -> Result<()> {
    let region = mesh.region(name)?;
    let mut sql = region.server.root().await?;
    sql.run("FLUSH BINARY LOGS").await?;
    // Without an answer nobody knows what is needed, and a person would delete nothing.
    let Ok(status) = region.concord.status().await else { return Ok(()) };
    let file = status.extractor.restart_file;
    if file.is_empty() { Ok(()) } else { sql.run(format!("PURGE BINARY LOGS TO '{file}'")).await }
}

/// As the runbook says, and connections are made anew so that the new one is needed.
async fn change_password(mesh: &mut Mesh, name: &str, password: &str) -> Result<()> {
    let region = mesh.region(name)?;
    let mut sql = region.server.root().await?;
    let user = account::USER;
    sql.run(format!("ALTER USER '{user}'@'%' IDENTIFIED BY '{password}' RETAIN CURRENT PASSWORD")).await?;
    let config = region.concord.read_config()?;
    let file = config
        .get("region")
        .and_then(|region| region.get("mysql"))
        .and_then(|mysql| mysql.get("password_file"));
    let file = file.and_then(toml::Value::as_str).unwrap_or_default();
    write_secret(Path::new(file), password)?;
    sql.run(format!("ALTER USER '{user}'@'%' DISCARD OLD PASSWORD")).await?;
    let open = format!("SELECT id FROM performance_schema.processlist WHERE user = '{user}'");
    for id in sql.column(open).await? {
        match sql.run(format!("KILL {id}")).await {
            // It has ended by itself.
            Err(error) if error.server_code() == Some(1094) => {}
            killed => killed?,
        }
    }
    Ok(())
}
