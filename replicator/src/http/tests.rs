#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::commands::running::Running;
use crate::region::board::ExtractorState;
use crate::status::sample;

/// A served board of the region `eu`.
struct Server {
    board: Arc<Board>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::with(Http { conflict_rows: true, ..Http::default() }).await
    }

    async fn with(http: Http) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let board = sample::board(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(serve(listener, board.clone(), http, stop.subscribe()));
        Self { board, address, stop, task, _dir: dir }
    }

    /// Code, content type and body.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        spawn_blocking(move || {
            let agent =
                ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
            let mut response = agent.run(request).unwrap();
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            (response.status().as_u16(), kind, response.body_mut().read_to_string().unwrap())
        })
        .await
        .unwrap()
    }

    /// What the commands use.
    async fn as_region<T: Send + 'static>(
        &self,
        region: &str,
        work: impl FnOnce(Running) -> Result<T, crate::commands::CommandError> + Send + 'static,
    ) -> Result<T, String> {
        let running = Running::at(region.parse().unwrap(), self.address, None);
        spawn_blocking(move || work(running)).await.unwrap().map_err(|error| error.to_string())
    }

    /// Everything does its work.
    fn all_well(&self) {
        let log = &self.board.logs.own().log;
        log.append(&sample::position(1, 1)).unwrap();
        log.sync().unwrap();
        self.board.extractor.send_modify(|progress| progress.state = ExtractorState::Running);
        self.board.origins.values().for_each(|o| {
            o.send_modify(|progress| {
                progress.state = applier::State::Running;
                progress.has_marker = true;
            })
        });
        let pull = crate::region::board::PullState {
            connected_via: Some("us".parse().unwrap()),
            ..Default::default()
        };
        self.board.pulls.lock().insert("us".parse().unwrap(), pull);
    }
}

#[tokio::test]
async fn a_halt_makes_a_region_unready_but_not_unhealthy() {
    let server = Server::start().await;
    assert_eq!(server.ask("GET", "/healthz", &[]).await.0, 200, "a region that starts is healthy");
    let (code, kind, body) = server.ask("GET", "/readyz", &[]).await;
    assert_eq!((code, kind.as_str()), (503, "application/json"));
    assert!(body.contains("extractor") && body.contains("applier of us"), "{body}");

    server.all_well();
    assert_eq!(server.ask("GET", "/readyz", &[]).await.0, 200);

    let halt = crate::code::TABLES_DIFFER.halt("table shop.a is missing");
    server.board.origins.values().for_each(|origin| {
        origin.send_modify(|progress| progress.state = applier::State::Halted(halt.clone()));
    });
    let (code, _, body) = server.ask("GET", "/readyz", &[]).await;
    assert_eq!(code, 503);
    assert!(body.contains("applier of us") && body.contains("table shop.a is missing"), "{body}");
    let (code, _, body) = server.ask("GET", "/healthz", &[]).await;
    assert_eq!(code, 200, "a restart removes no halt");
    assert!(body.contains("\"state\":\"halted\"") && body.contains("table shop.a is missing"), "{body}");
    assert!(body.contains("\"code\":\"tables-differ\""), "{body}");
    let (_, _, body) = server.ask("GET", "/v1/status", &[]).await;
    assert!(body.contains("\"code\":\"tables-differ\""), "{body}");
}

#[tokio::test]
async fn the_commands_read_what_is_served() {
    let server = Server::start().await;
    server.all_well();
    let status = server.as_region("eu", |running| running.status()).await.unwrap();
    assert_eq!((status.state, status.region.as_str()), (status::State::Running, "eu"));
    let error = server.as_region("us", |running| running.status()).await.unwrap_err();
    assert!(error.contains("is region eu") && error.contains("[region.http]"), "{error}");
}

#[tokio::test]
async fn pause_and_resume_reach_the_board() {
    let server = Server::start().await;
    let us: RegionName = "us".parse().unwrap();
    let paused = || server.board.origins[&us].borrow().paused;
    let concerned = server.as_region("eu", move |running| running.wish("/v1/pause", Some(us))).await;
    assert_eq!((concerned, paused()), (Ok(vec![us]), true));
    let concerned = server.as_region("eu", move |running| running.wish("/v1/resume", None)).await;
    assert_eq!((concerned, paused()), (Ok(vec![us]), false));
    for (path, code, reason) in [
        ("/v1/pause?origin=ap", 404, "eu applies: us"),
        ("/v1/pause?origin=eu", 404, "this region itself"),
        ("/v1/pause?origin=US", 404, "eu applies: us"),
        ("/v1/pause?orgin=us", 400, "origin=REGION"),
    ] {
        let (found, _, body) = server.ask("POST", path, &[]).await;
        assert_eq!(found, code, "{path}: {body}");
        assert!(body.starts_with("{\"error\":") && body.contains(reason), "{path}: {body}");
    }
    let ap = "ap".parse().unwrap();
    let error = server.as_region("eu", move |running| running.wish("/v1/pause", Some(ap))).await.unwrap_err();
    assert!(error.contains("no region ap is applied here"), "{error}");
    assert!(!paused());
}

#[tokio::test]
async fn conflicts_are_listed_and_shown_and_counted() {
    use crate::conflicts::sample::entry;
    use applier::journal::Journal;

    let server = Server::start().await;
    let (code, _, body) = server.ask("GET", "/v1/conflicts", &[]).await;
    assert_eq!((code, body.as_str()), (200, "{\"conflicts\":[]}"));
    let entries: Vec<_> = (1..=3).map(|id| entry(id, 3)).collect();
    server.board.conflicts.write(&entries).unwrap();

    let listed = async |query: &str| -> Vec<applier::journal::Entry> {
        let (code, _, body) = server.ask("GET", &format!("/v1/conflicts{query}"), &[]).await;
        assert_eq!(code, 200, "{body}");
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Answer {
            conflicts: Vec<applier::journal::Entry>,
        }
        serde_json::from_str::<Answer>(&body).unwrap().conflicts
    };
    assert_eq!(listed("").await, entries);
    assert_eq!(listed("?limit=1&table=shop.*&kind=update-update&region=us").await, entries[2..]);
    assert_eq!(listed("?since=2024-02-29T12:34:58Z&until=2024-02-29T12:34:59Z").await, entries[1..2]);
    for (query, reason) in [("?tabel=x", "tabel"), ("?table=x", "has no dot"), ("?kind=x", "update-update")] {
        let (code, _, body) = server.ask("GET", &format!("/v1/conflicts{query}"), &[]).await;
        assert!(code == 400 && body.contains(reason) && body.contains("limit="), "{code} {body}");
    }

    let (code, _, body) = server.ask("GET", &format!("/v1/conflicts/{}", &entries[1].id[..20]), &[]).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(serde_json::from_str::<applier::journal::Entry>(&body).unwrap(), entries[1]);
    assert_eq!(server.ask("GET", "/v1/conflicts/0123456789", &[]).await.0, 404);
    assert_eq!(server.ask("GET", "/v1/conflicts/what", &[]).await.0, 400);

    let (_, _, text) = server.ask("GET", "/metrics", &[]).await;
    let sample = "concord_conflicts_found_total{region=\"eu\",origin=\"us\",table=\"shop.stock\",kind=\"update-update\",\
                  policy=\"last-writer-wins\",winner=\"incoming\",detect_only=\"false\"} 3";
    assert!(text.lines().any(|line| line == sample), "{text}");
}

#[tokio::test]
async fn no_value_of_a_row_is_shown_unless_the_configuration_says_so() {
    use crate::conflicts::sample::entry;
    use applier::journal::Journal;

    let server = Server::with(Http::default()).await;
    let entry = entry(7, 3);
    server.board.conflicts.write(std::slice::from_ref(&entry)).unwrap();
    let one = format!("/v1/conflicts/{}", entry.id);
    for path in ["/v1/conflicts", &one] {
        let (code, _, body) = server.ask("GET", path, &[]).await;
        assert!(
            code == 200 && body.contains("\"winner\":\"incoming\"") && body.contains("conflict_rows"),
            "{body}"
        );
        for word in ["key", "before", "after", "result", "quantity"] {
            assert!(!body.contains(&format!("\"{word}\"")) && !body.contains("'old'"), "{word}: {body}");
        }
    }
}

#[tokio::test]
async fn with_a_token_only_health_is_told_to_those_who_do_not_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let server = Server::with(Http { token_file: Some(file.clone()), ..Http::default() }).await;
    let wrong = [("authorization", "Bearer 0123456789abcdeg")];
    let right = [("authorization", "Bearer 0123456789abcdef")];
    for headers in [&[][..], &wrong, &[("authorization", "0123456789abcdef")]] {
        for path in ["/v1/status", "/metrics", "/v1/conflicts", "/v1/conflicts/1", "/nothing"] {
            let (code, _, body) = server.ask("GET", path, headers).await;
            assert_eq!(code, 401, "{path}");
            assert!(body.contains("token_file in [region.http]") && !body.contains("0123"), "{body}");
        }
        assert_eq!(server.ask("POST", "/v1/pause", headers).await.0, 401);
        assert_eq!(server.ask("GET", "/healthz", headers).await.2, r#"{"state":"waiting"}"#);
        assert_eq!(server.ask("GET", "/readyz", headers).await.2, r#"{"ready":false}"#);
    }
    assert_eq!(server.ask("GET", "/v1/status", &right).await.0, 200);
    assert!(server.ask("GET", "/readyz", &right).await.2.contains("extractor"));
    assert!(server.board.origins.values().all(|origin| !origin.borrow().paused));

    let running = |token: &str| {
        let http = Http { token_file: Some(dir.path().join(token)), ..Http::default() };
        Running::at("eu".parse().unwrap(), server.address, http.token().unwrap())
    };
    let held = running("token");
    spawn_blocking(move || held.wish("/v1/pause", None)).await.unwrap().unwrap();
    assert!(server.board.origins.values().all(|origin| origin.borrow().paused));
    std::fs::write(dir.path().join("other"), "another token of the same kind").unwrap();
    let held = running("other");
    let error = spawn_blocking(move || held.status().map(drop)).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("token_file in [region.http]"), "{error}");

    // Rotated while it runs; a file that cannot be used opens nothing.
    std::fs::write(&file, "fedcba9876543210").unwrap();
    assert_eq!(server.ask("GET", "/v1/status", &right).await.0, 401);
    assert_eq!(server.ask("GET", "/v1/status", &[("authorization", "bearer fedcba9876543210")]).await.0, 200);
    for content in ["", "short"] {
        std::fs::write(&file, content).unwrap();
        let shown = format!("Bearer {content}");
        assert_eq!(server.ask("GET", "/v1/status", &[("authorization", &shown)]).await.0, 401);
    }
}

#[tokio::test]
async fn a_skew_is_accepted_of_an_origin_that_is_applied_here_only() {
    let server = Server::start().await;
    for (query, says) in [
        ("?origin=eu", "no region eu is applied here; eu applies: "),
        ("?origin=Nowhere", "region name"),
        ("", "the parameter is origin=REGION"),
    ] {
        let (code, _, body) = server.ask("POST", &format!("/v1/accept-skew{query}"), &[]).await;
        assert_eq!(code, 400, "{query}: {body}");
        assert!(body.contains(says), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_web_page_cannot_pause_anything() {
    let server = Server::start().await;
    let (code, _, body) = server.ask("POST", "/v1/pause", &[("Origin", "http://evil.example")]).await;
    assert_eq!(code, 403, "{body}");
    assert!(server.board.origins.values().all(|origin| !origin.borrow().paused));
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let server = Server::start().await;
    let (code, kind, body) = server.ask("GET", "/metrics", &[]).await;
    assert_eq!((code, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(body.contains("# TYPE concord_conflicts_total counter") && !body.contains("# EOF"), "{body}");
    let accept = [("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let (_, kind, body) = server.ask("GET", "/metrics", &accept).await;
    assert!(kind.starts_with("application/openmetrics-text") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_json_with_what_is() {
    let server = Server::start().await;
    for (method, path, code) in
        [("GET", "/status", 404), ("GET", "/v1/pause", 405), ("POST", "/metrics", 405)]
    {
        let (found, kind, body) = server.ask(method, path, &[]).await;
        assert_eq!((found, kind.as_str()), (code, "application/json"), "{method} {path}");
        assert!(body.contains("/v1/pause"), "{body}");
    }
}

#[tokio::test]
async fn the_shutdown_ends_it_and_commands_then_say_that_it_does_not_run() {
    let server = Server::start().await;
    // An idle connection must not hold it up.
    let _idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    server.as_region("eu", |running| running.status()).await.unwrap();
    server.stop.send_replace(true);
    let Server { board: _board, address, task, _dir, .. } = server;
    task.await.unwrap();
    let running = Running::at("eu".parse().unwrap(), address, None);
    let error = spawn_blocking(move || running.status()).await.unwrap().unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("concord run"), "{error}");
}
