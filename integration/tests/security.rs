//! What a running region opens, writes and shows.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan, account};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT);";

/// Two regions that have a row of eu's.
async fn at_work() -> Mesh {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).start().await.unwrap();
    insert(&mut mesh, "eu", 1).await;
    mesh.quiet(BOUND).await.unwrap();
    mesh
}

/// Waits until a concord has said these words in its log.
async fn wait_until_said(log: &Path, words: &str) {
    wait_for(&format!("{words:?} in {}", log.display()), BOUND, async || {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        Ok(Look::when(said.contains(words), (), said))
    })
    .await
    .unwrap();
}

async fn insert(mesh: &mut Mesh, name: &str, id: u32) {
    mesh.root(name).await.unwrap().run(format!("INSERT INTO s.t VALUES ({id}, 1)")).await.unwrap();
}

/// The local addresses on which a process takes what others send: TCP that listens, and every UDP socket.
fn listens(pid: u32) -> BTreeSet<String> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let sockets: BTreeSet<String> = folder
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = BTreeSet::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        const LISTENING: &str = "0A";
        let Ok(table) = std::fs::read_to_string(format!("/proc/{pid}/net/{kind}")) else { continue };
        for line in table.lines().skip(1) {
            // Number, local and remote address, state, …, inode (proc(5)).
            let fields: Vec<&str> = line.split_whitespace().collect();
            let open = kind.starts_with("udp") || fields[3] == LISTENING;
            if open && sockets.contains(fields[9]) {
                let port = u16::from_str_radix(fields[1].rsplit_once(':').unwrap().1, 16).unwrap();
                found.insert(format!("{kind} {port}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_region_listens_on_its_two_ports_and_on_nothing_else() {
    let mut mesh = at_work().await;
    let concord = &mesh.region("eu").unwrap().concord;
    let link = concord.read_config().unwrap()["region"]["link"]["listen"].as_str().unwrap().to_owned();
    let link = link.rsplit_once(':').unwrap().1.to_owned();
    let expected = BTreeSet::from([format!("tcp {link}"), format!("tcp {}", concord.http())]);
    assert_eq!(listens(concord.pid().unwrap()), expected);
}

/// Everything below a folder, itself included, that others than its account may use.
fn open_to_others(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mode = std::fs::symlink_metadata(path).unwrap().permissions().mode();
    if mode & 0o077 != 0 {
        found.push(format!("{} {mode:o}", path.display()));
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            found.extend(open_to_others(&entry.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn what_it_writes_is_for_its_own_account_and_a_folder_that_was_open_is_closed() {
    let mut mesh = at_work().await;
    let folder = mesh.dir().join("eu/concord");
    assert_eq!(open_to_others(&folder), Vec::<String>::new());

    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let concord = &mut mesh.region("eu").unwrap().concord;
    let check = concord.command(&["check"]).unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("has mode 0755") && said.contains("chmod 700"), "{said}");
    concord.start().await.unwrap();
    assert_eq!(open_to_others(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn no_secret_is_in_its_arguments_log_status_or_metrics() {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).build().await.unwrap();
    let token = "0123456789abcdef-as-no-other-text-has-it";
    let file = mesh.dir().join("token");
    std::fs::write(&file, token).unwrap();
    let concord = &mut mesh.region("eu").unwrap().concord;
    concord.configure("region.http.token_file", file.display().to_string()).unwrap();
    // A password that is refused is where it might slip into a message.
    let password =
        concord.read_config().unwrap()["region"]["mysql"]["password_file"].as_str().unwrap().to_owned();
    std::fs::write(&password, "the wrong password").unwrap();
    concord.spawn().unwrap();
    mesh.region("us").unwrap().concord.spawn().unwrap();
    let concord = &mut mesh.region("eu").unwrap().concord;
    wait_until_said(concord.log(), "Access denied").await;
    let _ = concord.stop().await;
    std::fs::write(&password, account::PASSWORD).unwrap();
    concord.spawn().unwrap();
    concord.ready(BOUND).await.unwrap();
    let pid = concord.pid().unwrap();
    let mut shown = vec![
        std::fs::read_to_string(concord.log()).unwrap(),
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap()).into_owned(),
        concord.say(&["status", "--json"]).unwrap(),
        String::from_utf8_lossy(&concord.command(&["check"]).unwrap().stdout).into_owned(),
    ];
    // Not told without the token; `say` above has it from the configuration.
    for path in ["/v1/status", "/metrics", "/healthz"] {
        let answer = concord.get(path).await.unwrap();
        assert_eq!(answer.code == 401, path != "/healthz", "{path}: {}", answer.code);
        shown.push(answer.body);
    }
    for text in shown {
        for secret in [account::PASSWORD, "the wrong password", token] {
            assert!(!text.contains(secret), "a secret is shown:\n{text}");
        }
    }
}

#[tokio::test]
async fn certificates_of_a_new_authority_are_taken_up_without_a_restart() {
    let mut mesh = at_work().await;
    let pids = ["eu", "us"].map(|name| mesh.region(name).unwrap().concord.pid());
    let (certificates, new) = (mesh.dir().join("certs"), mesh.dir().join("new-certs"));
    let folder = new.display().to_string();
    integration::concord::run(&["certs", "--out", &folder, "eu", "us"]).unwrap();
    for file in ["eu.key", "us.key", "eu.pem", "us.pem", "ca.pem"] {
        std::fs::copy(new.join(file), certificates.join(file)).unwrap();
    }
    for name in ["eu", "us"] {
        let log = mesh.region(name).unwrap().concord.log().to_owned();
        wait_until_said(&log, "the link's certificates are renewed").await;
    }
    insert(&mut mesh, "eu", 2).await;
    insert(&mut mesh, "us", 3).await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(["eu", "us"].map(|name| mesh.region(name).unwrap().concord.pid()), pids);
}
