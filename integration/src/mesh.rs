//! A whole mesh: a server and a Concord per region, set up with the commands a newcomer would type.

use crate::process::Lifetime;
use crate::server::ServerPlan;
use crate::wait::{Look, wait_for};
use crate::wan::{Place, Wan};
use crate::{Concord, Error, Result, Server, Sql, account, concord};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

use crate::clock::Clock;
use crate::config::write_secret;
pub use crate::config::{set, write_config};
use crate::port::Port;

/// Changes one region's configuration before it is written; gets the region's name and the whole file.
pub type Edit = Box<dyn Fn(&str, &mut toml::Table)>;

/// What a mesh shall be like.
pub struct MeshPlan {
    names: Vec<String>,
    dir: Option<PathBuf>,
    schema: String,
    options: Vec<String>,
    edits: Vec<Edit>,
    lifetime: Lifetime,
    programs: Vec<(String, PathBuf)>,
    binary: Option<PathBuf>,
    environment: Vec<(String, String)>,
    places: Vec<Place>,
    clocks: bool,
}

/// One region: its server and its Concord.
#[derive(Debug)]
pub struct Region {
    /// The region's name.
    pub name: String,
    /// Its MySQL server.
    pub server: Server,
    /// Its Concord.
    pub concord: Concord,
    /// The clock of both, if the plan wants one that can be set.
    pub clock: Option<Clock>,
    /// Where its peers reach its link.
    pub link: u16,
    _ports: Vec<Port>,
}

/// Servers and Concords, each running or not. Everything is stopped when it is dropped.
#[derive(Debug)]
pub struct Mesh {
    /// The regions in the order of the plan.
    pub regions: Vec<Region>,
    dir: PathBuf,
    temporary: Option<TempDir>,
}

impl MeshPlan {
    /// A mesh of these regions.
    pub fn of(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            dir: None,
            schema: String::new(),
            options: Vec::new(),
            edits: Vec::new(),
            lifetime: Lifetime::Ours,
            programs: Vec::new(),
            binary: None,
            environment: Vec::new(),
            places: Vec::new(),
            clocks: false,
        }
    }

    /// Another `mysqld` for one region than the installation's.
    pub fn program(mut self, name: &str, program: PathBuf) -> Self {
        self.programs.push((name.to_owned(), program));
        self
    }

    /// Every region runs this `concord`; the one that is found makes the configurations all the same.
    pub fn binary(mut self, binary: &Path) -> Self {
        self.binary = Some(binary.to_owned());
        self
    }

    /// A variable for the environment of every Concord.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Everything under `dir`, and left there; else under a temporary folder.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// A script that each server runs before any Concord starts, so that the regions begin equal.
    pub fn schema(mut self, script: &str) -> Self {
        script.clone_into(&mut self.schema);
        self
    }

    /// One more option of every server.
    pub fn server_option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// A change of every region's configuration.
    pub fn edit(mut self, edit: impl Fn(&str, &mut toml::Table) + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Whether servers and processes may outlive this process.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Every Concord lives in its region's place of this WAN, whose regions have the same names, and reaches the others over it. Servers stay
    /// where we are.
    pub fn wan(mut self, wan: &Wan) -> Self {
        self.places = wan.places().to_vec();
        self
    }

    /// Each region has a wall clock of its own, which can be set.
    pub fn clocks(mut self) -> Self {
        self.clocks = true;
        self
    }

    /// Starts the servers and writes certificates, configurations and accounts; starts no Concord.
    pub async fn build(self) -> Result<Mesh> {
        // A missing binary is told before a server starts.
        crate::binary::concord()?;
        let temporary = match &self.dir {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("concord-mesh-").tempdir();
                Some(made.map_err(Error::io("create a temporary folder"))?)
            }
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(made)) => made.path().to_owned(),
            (None, None) => return Err(Error::Unexpected("a mesh needs a folder".to_owned())),
        };
        std::fs::create_dir_all(&dir).map_err(Error::io(format!("create {}", dir.display())))?;

        let certificates = dir.join("certs");
        let mut arguments = vec!["certs".to_owned(), "--out".to_owned(), certificates.display().to_string()];
        arguments.extend(self.names.iter().cloned());
        concord::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;

        let mut ports = Vec::new();
        for _ in &self.names {
            ports.push((Port::free()?, Port::free()?));
        }
        let mut links = Vec::new();
        for (name, (link, _)) in self.names.iter().zip(&ports) {
            let host = self.place(name).map_or(Ipv4Addr::LOCALHOST, |place| place.address);
            links.push((name.clone(), SocketAddrV4::new(host, link.number())));
        }

        let mut clocks = Vec::new();
        for name in &self.names {
            let file = dir.join(format!("{name}.clock"));
            clocks.push(if self.clocks { Some(Clock::make(&file)?) } else { None });
        }
        let mut servers = Vec::new();
        let count = u32::try_from(self.names.len()).unwrap_or(1);
        for ((name, number), clock) in self.names.iter().zip(1..).zip(&clocks) {
            let mut plan =
                ServerPlan::new(name, number * 10).auto_increment(count, number).lifetime(self.lifetime);
            for option in &self.options {
                plan = plan.option(option.clone());
            }
            if let Some((_, program)) = self.programs.iter().find(|(of, _)| of == name) {
                plan = plan.program(program.clone());
            }
            plan = plan.listen_also(self.place(name).map(|place| place.test));
            for (key, value) in clock.iter().flat_map(Clock::environment) {
                plan = plan.environment(&key, &value);
            }
            servers.push(plan.launch(&dir.join(name))?);
        }
        let mut regions = Vec::new();
        for (((name, mut server), (link, http)), clock) in
            self.names.iter().zip(servers).zip(ports).zip(clocks)
        {
            server.answers().await?;
            let home = dir.join(name);
            let mut sql = server.root().await?;
            sql.script(&self.schema).await?;
            let config = self.configure(&home, &certificates, name, &links, server.port(), http.number())?;
            account::create(&mut sql, &config).await?;
            let mut concord = Concord::new(name, &config, http.number(), &home.join("concord.log"))?
                .lifetime(self.lifetime)
                .place(self.place(name).cloned());
            let of_clock = clock.iter().flat_map(Clock::environment);
            for (key, value) in of_clock.chain(self.environment.iter().cloned()) {
                concord = concord.environment(&key, &value);
            }
            if let Some(binary) = &self.binary {
                concord.use_binary(binary.clone());
            }
            regions.push(Region {
                name: name.clone(),
                server,
                concord,
                clock,
                link: link.number(),
                _ports: vec![link, http],
            });
        }
        Ok(Mesh { regions, dir, temporary })
    }

    /// Like [`MeshPlan::build`], and then starts every Concord.
    pub async fn start(self) -> Result<Mesh> {
        let mut mesh = self.build().await?;
        let names: Vec<String> = mesh.regions.iter().map(|region| region.name.clone()).collect();
        mesh.start_concords(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(mesh)
    }

    fn place(&self, region: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.region == region)
    }

    fn configure(
        &self,
        home: &Path,
        certificates: &Path,
        name: &str,
        links: &[(String, SocketAddrV4)],
        mysql: u16,
        http: u16,
    ) -> Result<PathBuf> {
        let path = home.join("concord.toml");
        let mut arguments = vec!["init".to_owned(), "--region".to_owned(), name.to_owned()];
        for (peer, link) in links.iter().filter(|(peer, _)| peer != name) {
            arguments.extend(["--peer".to_owned(), format!("{peer}={link}")]);
        }
        arguments.extend(["--mesh-name", "shop", "--out"].map(str::to_owned));
        arguments.push(path.display().to_string());
        concord::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;

        let password = home.join("password");
        write_secret(&password, account::PASSWORD)?;
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
        let mut table: toml::Table = toml::from_str(&text)
            .map_err(|error| Error::Unexpected(format!("`concord init` wrote no valid TOML: {error}")))?;
        for (region, link) in links {
            set(&mut table, &format!("mesh.regions.{region}.link"), link.to_string());
            if region == name {
                set(&mut table, "region.link.listen", link.to_string());
            }
        }
        let here = (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        let (mysql_host, http_host) = self.place(name).map_or(here, |place| (place.test, place.side));
        let file = |suffix: &str| certificates.join(suffix).display().to_string();
        set(&mut table, "region.data_dir", home.join("concord").display().to_string());
        set(&mut table, "region.mysql.host", mysql_host.to_string());
        set(&mut table, "region.mysql.port", i64::from(mysql));
        set(&mut table, "region.mysql.user", account::USER);
        set(&mut table, "region.mysql.password_file", password.display().to_string());
        set(&mut table, "region.link.tls", true);
        set(&mut table, "region.link.ca", file("ca.pem"));
        set(&mut table, "region.link.cert", file(&format!("{name}.pem")));
        set(&mut table, "region.link.key", file(&format!("{name}.key")));
        set(&mut table, "region.http.listen", format!("{http_host}:{http}"));
        if !http_host.is_loopback() {
            let token = home.join("http-token");
            write_secret(&token, concord::HTTP_TOKEN)?;
            set(&mut table, "region.http.token_file", token.display().to_string());
        }
        for edit in &self.edits {
            edit(name, &mut table);
        }
        write_config(&path, &table)?;
        Ok(path)
    }
}

impl Mesh {
    /// The folder under which everything lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of the regions.
    pub fn names(&self) -> Vec<String> {
        self.regions.iter().map(|region| region.name.clone()).collect()
    }

    /// The region of that name; an error if the plan had none.
    pub fn region(&mut self, name: &str) -> Result<&mut Region> {
        let found = self.regions.iter_mut().find(|region| region.name == name);
        found.ok_or_else(|| Error::Unexpected(format!("this mesh has no region {name}")))
    }

    /// A new root connection to a region's server.
    pub async fn root(&mut self, name: &str) -> Result<Sql> {
        self.region(name)?.server.root().await
    }

    /// Starts these Concords at once and waits until all are ready.
    pub async fn start_concords(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            self.region(name)?.concord.spawn()?;
        }
        for name in names {
            self.region(name)?.concord.ready(concord::READY_BOUND).await?;
        }
        Ok(())
    }

    /// Starts these Concords at once and waits until each applies the others of them; the rest of the mesh may be absent.
    pub async fn start_without_the_rest(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            self.region(name)?.concord.spawn()?;
        }
        for name in names {
            let concord = &mut self.region(name)?.concord;
            wait_for(&format!("{name} to apply the others of {names:?}"), concord::READY_BOUND, async || {
                concord.check_running()?;
                let status = match concord.status().await {
                    Ok(status) => status,
                    Err(error) => return Ok(Look::NotYet(error.to_string())),
                };
                let applies = |other: &&str| {
                    status.origin(other).is_some_and(|origin| origin.applier.state == "running")
                };
                let all = names.iter().filter(|other| *other != name).all(applies);
                Ok(Look::when(all, (), status.reasons().join("; ")))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until every running Concord has read its server's binlog to the end and applied all that the others read.
    pub async fn quiet(&mut self, bound: Duration) -> Result<()> {
        let regions = &mut self.regions;
        wait_for("all regions to have applied everything", bound, async || {
            let mut statuses = Vec::new();
            for region in regions.iter_mut().filter(|region| region.concord.pid().is_some()) {
                region.concord.check_running()?;
                let status = match region.concord.status().await {
                    Ok(status) => status,
                    Err(error) => return Ok(Look::NotYet(error.to_string())),
                };
                if status.state == "halted" {
                    return Err(Error::Unexpected(format!(
                        "{} halted: {}",
                        region.name,
                        status.reasons().join("; ")
                    )));
                }
                let end = binlog_end(&mut region.server.root().await?).await?;
                let read = (status.extractor.file.clone(), status.extractor.offset);
                if read != end {
                    return Ok(Look::NotYet(format!("{} has read up to {read:?} of {end:?}", region.name)));
                }
                statuses.push(status);
            }
            for here in &statuses {
                for origin in statuses.iter().filter(|origin| origin.region != here.region) {
                    let (applied, written) = (here.applied(&origin.region), origin.extractor.sequence);
                    if applied != written {
                        let seen = format!(
                            "{} has applied {applied} of {written} transactions of {}; {}",
                            here.region,
                            origin.region,
                            here.reasons().join("; ")
                        );
                        return Ok(Look::NotYet(seen));
                    }
                }
            }
            Ok(Look::Done(()))
        })
        .await
    }

    /// Waits for quiet, then compares these tables (`schema.table`) in all regions; an error shows the first differences.
    pub async fn expect_equal(&mut self, tables: &[&str], bound: Duration) -> Result<()> {
        self.quiet(bound).await?;
        let mut connections = Vec::new();
        for region in &self.regions {
            connections.push((region.name.clone(), region.server.root().await?));
        }
        let mut found = Vec::new();
        for table in tables {
            found.extend(crate::compare_tables(&mut connections, table).await?);
        }
        if found.is_empty() {
            return Ok(());
        }
        let shown: Vec<String> = found.iter().take(10).map(ToString::to_string).collect();
        Err(Error::Unexpected(format!("{} rows differ:\n{}", found.len(), shown.join("\n"))))
    }

    /// Stops every running Concord in order, then every server; an error if a Concord takes too long or fails.
    pub async fn stop(&mut self) -> Result<()> {
        for region in &mut self.regions {
            region.concord.stop().await?;
        }
        for region in &mut self.regions {
            region.server.stop().await?;
        }
        Ok(())
    }

    /// Leaves servers, processes and files as they are when this handle is dropped.
    pub fn leave_running(&mut self) {
        for region in &mut self.regions {
            region.concord.leave_running();
            region.server.leave_running();
        }
        if let Some(dir) = self.temporary.take() {
            let _ = dir.keep();
        }
    }
}

/// File and offset of the binlog's end.
pub async fn binlog_end(sql: &mut Sql) -> Result<(String, u64)> {
    let rows = match sql.rows("SHOW BINARY LOG STATUS").await {
        // Before 8.2 the statement had another name.
        Err(error) if error.server_code() == Some(1064) => sql.rows("SHOW MASTER STATUS").await?,
        other => other?,
    };
    let row = rows.first().ok_or_else(|| Error::Unexpected("the server writes no binlog".to_owned()))?;
    match row.as_slice() {
        [file, offset, ..] => Ok((file.clone(), offset.parse().unwrap_or(0))),
        _ => Err(Error::Unexpected("SHOW BINARY LOG STATUS has too few columns".to_owned())),
    }
}
