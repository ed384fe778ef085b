//! Status, health, metrics and conflicts over HTTP, and the wishes of a person: pause, resume and skip.
//!
//! Who may ask, [`guard`] says. Answers are JSON, failures `{"error": …}`, metrics the text
//! that Prometheus reads. Health is answered from memory, so a slow disk does not look like a dead process.

mod guard;

use std::sync::Arc;
use std::time::Duration;

use applier::journal::Entry;
use applier::{Decide, Named, Wish};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use transaction::RegionName;

use crate::commands::log::time;
use crate::config::Http;
use crate::conflicts::{self, Filter, LookError};
use crate::metrics::Metrics;
use crate::region::board::Board;
use crate::region::clock::now_us;
use crate::status::{self, Status};
use guard::Asker;

/// How long answers under way may take after the shutdown.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a wish may take before its answer; less than a client waits.
const ANSWER_AFTER: Duration = Duration::from_secs(8);

#[derive(Clone)]
struct Served {
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    conflict_rows: bool,
}

/// Answers as `http` says, until `shutdown` becomes true.
pub(crate) async fn serve(
    listener: TcpListener,
    board: Arc<Board>,
    http: Http,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut stop = shutdown.clone();
    let stopped = async move {
        // A sender that is gone means the same as the signal.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let server = axum::serve(listener, router(board, http)).with_graceful_shutdown(stopped);
    let bound = async move {
        let _ = shutdown.wait_for(|stop| *stop).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = server => if let Err(error) = ended {
            tracing::error!("status, health and metrics are no longer answered: {error}; restart the process");
        },
        () = bound => {}
    }
}

fn router(board: Arc<Board>, http: Http) -> Router {
    let conflict_rows = http.conflict_rows;
    let source = board.clone();
    let metrics = Metrics::new(board.region, move || status::status(&source, now_us()));
    let metrics = Arc::new(metrics.with_conflicts(board.conflicts.counts()));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/v1/status", get(show))
        .route("/v1/conflicts", get(list_conflicts))
        .route("/v1/conflicts/{id}", get(show_conflict))
        .route("/v1/pause", post(pause))
        .route("/v1/tables/suspend", post(suspend_table))
        .route("/v1/tables/resume", post(resume_table))
        .route("/v1/resume", post(resume))
        .route("/v1/skip", post(skip))
        .route("/v1/accept-skew", post(accept_skew))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::new(http), guard::judge))
        .with_state(Served { board, metrics, conflict_rows })
}

/// Whether the process is alive: whoever restarts it for another answer must gain something by that. A halted part waits
/// for a person, which no restart changes, and the others go on meanwhile; so a halt shows in the text, in `/readyz`, in
/// metrics and in status. That the answer looks at the board means that a process whose locks are stuck gives none.
async fn healthz(State(served): State<Served>, Extension(asker): Extension<Asker>) -> Response {
    let status = status::at_a_glance(&served.board, now_us());
    let answer = match asker {
        Asker::Known => json!({ "state": status.state, "reasons": status::reasons(&status) }),
        Asker::Unknown => json!({ "state": status.state }),
    };
    Json(answer).into_response()
}

/// Whether the region does all of its work; see [`status::not_ready`].
async fn readyz(State(served): State<Served>, Extension(asker): Extension<Asker>) -> Response {
    let reasons = status::not_ready(&status::at_a_glance(&served.board, now_us()));
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = match asker {
        Asker::Known => json!({ "ready": reasons.is_empty(), "reasons": reasons }),
        Asker::Unknown => json!({ "ready": reasons.is_empty() }),
    };
    (code, Json(answer)).into_response()
}

async fn show(State(served): State<Served>) -> Response {
    match blocking(move || status::status(&served.board, now_us())).await {
        Ok(status) => Json::<Status>(status).into_response(),
        Err(failure) => failure,
    }
}

/// How many conflicts an answer has if nothing else is asked for, and at most.
const CONFLICTS: (usize, usize) = (50, 1_000);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichConflicts {
    table: Option<String>,
    kind: Option<String>,
    since: Option<String>,
    until: Option<String>,
    region: Option<String>,
    limit: Option<usize>,
}

impl WhichConflicts {
    fn filter(self) -> Result<Filter, String> {
        let time = |text: Option<String>| text.map(|text| time::parse(&text)).transpose();
        Ok(Filter {
            table: self.table.map(|table| table.parse()).transpose().map_err(|e| format!("{e}"))?,
            kind: self.kind.map(|kind| conflicts::parse_kind(&kind)).transpose()?,
            since_us: time(self.since).map_err(|e| e.to_string())?,
            until_us: time(self.until).map_err(|e| e.to_string())?,
            region: self.region.map(|region| region.parse()).transpose().map_err(|e| format!("{e}"))?,
            limit: self.limit.unwrap_or(CONFLICTS.0).min(CONFLICTS.1),
        })
    }
}

#[derive(serde::Serialize)]
struct Conflicts {
    conflicts: Vec<Shown>,
    /// Why there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A conflict as it is shown to whoever asks.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Shown {
    /// All of it, the columns in their order.
    Whole(Box<Entry>),
    /// Without anything out of a row.
    Outline(serde_json::Value),
}

impl Shown {
    fn of(entry: Entry, rows: bool) -> Result<Self, serde_json::Error> {
        if rows {
            return Ok(Self::Whole(Box::new(entry)));
        }
        let mut outline = serde_json::to_value(entry)?;
        for (at, fields) in
            [("", ["key", "result"]), ("/incoming", ["before", "after"]), ("/existing", ["before", "after"])]
        {
            if let Some(object) = outline.pointer_mut(at).and_then(serde_json::Value::as_object_mut) {
                object.retain(|name, _| !fields.contains(&name.as_str()));
            }
        }
        outline["rows"] = json!("left out: conflict_rows = false in [region.http]");
        Ok(Self::Outline(outline))
    }
}

/// The last conflicts, oldest first; with `error`, if some could not be read.
async fn list_conflicts(
    State(served): State<Served>,
    which: Result<Query<WhichConflicts>, QueryRejection>,
) -> Response {
    let known = "the parameters are table=PATTERN, kind=, since=, until=, region= and limit=";
    let filter = match which.map_err(|e| e.body_text()).and_then(|Query(which)| which.filter()) {
        Ok(filter) => filter,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("{error}; {known}")),
    };
    let listed = blocking(move || {
        let reader = served.board.conflicts.read().map_err(|e| e.to_string())?;
        let (entries, trouble) = conflicts::list(reader, &filter);
        let shown = entries.into_iter().map(|entry| Shown::of(entry, served.conflict_rows));
        let conflicts = shown.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok::<_, String>(Conflicts { conflicts, error: trouble.map(|trouble| trouble.to_string()) })
    });
    match listed.await {
        Ok(Ok(conflicts)) => Json(conflicts).into_response(),
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error),
        Err(failure) => failure,
    }
}

async fn show_conflict(State(served): State<Served>, Path(id): Path<String>) -> Response {
    let board = served.board.clone();
    let found = blocking(move || {
        board.conflicts.read().map_err(LookError::from).and_then(|reader| conflicts::find(reader, &id))
    });
    match found.await {
        Ok(Ok(entry)) => match Shown::of(entry, served.conflict_rows) {
            Ok(shown) => Json(shown).into_response(),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Ok(Err(error)) => {
            let code = match error {
                LookError::Unknown(_) => StatusCode::NOT_FOUND,
                LookError::Argument(_) => StatusCode::BAD_REQUEST,
                LookError::Store(_) | LookError::Entry { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(code, error.to_string())
        }
        Err(failure) => failure,
    }
}

async fn scrape(State(served): State<Served>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let open = accepted.contains("application/openmetrics-text");
    match blocking(move || if open { served.metrics.openmetrics() } else { served.metrics.classic() }).await {
        Ok(Ok(text)) => {
            let kind = if open {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            } else {
                "text/plain; version=0.0.4; charset=utf-8"
            };
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(error)) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics cannot be written: {error}"))
        }
        Err(failure) => failure,
    }
}

#[derive(serde::Deserialize)]
// A misspelt `origin` must not pause everything.
#[serde(deny_unknown_fields)]
struct Which {
    origin: Option<String>,
}

async fn pause(State(served): State<Served>, which: Result<Query<Which>, QueryRejection>) -> Response {
    set_paused(&served.board, which, true)
}

async fn resume(State(served): State<Served>, which: Result<Query<Which>, QueryRejection>) -> Response {
    set_paused(&served.board, which, false)
}

fn set_paused(board: &Board, which: Result<Query<Which>, QueryRejection>, paused: bool) -> Response {
    let name = match which {
        Ok(Query(Which { origin })) => origin,
        Err(error) => {
            let error = format!("{}; the only parameter is origin=REGION", error.body_text());
            return refuse(StatusCode::BAD_REQUEST, error);
        }
    };
    let known = || board.origins.keys().map(RegionName::as_str).collect::<Vec<_>>().join(", ");
    let origin = match name.as_deref().map(RegionName::new).transpose() {
        Ok(origin) => origin,
        Err(error) => {
            return refuse(StatusCode::NOT_FOUND, format!("{error}; {} applies: {}", board.region, known()));
        }
    };
    if board.pause(origin, paused) {
        let chosen: Vec<_> =
            board.origins.keys().filter(|name| origin.is_none_or(|origin| origin == **name)).collect();
        tracing::info!("{} by request: {chosen:?}", if paused { "paused" } else { "resumed" });
        return Json(json!({ "paused": paused, "origins": chosen })).into_response();
    }
    let error = match origin {
        Some(origin) if origin == board.region => {
            format!(
                "{origin} is this region itself, whose own work needs no applying; it applies: {}",
                known()
            )
        }
        Some(origin) => format!("no region {origin} is applied here; {} applies: {}", board.region, known()),
        None => format!("{} applies no other region", board.region),
    };
    refuse(StatusCode::NOT_FOUND, error)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichTable {
    table: String,
    decide: Option<String>,
}

async fn suspend_table(
    State(served): State<Served>,
    which: Result<Query<WhichTable>, QueryRejection>,
) -> Response {
    let wish = of_table(which, |schema, table, _| Wish::Suspend {
        schema,
        table,
        reason: "by request; `concord resume --table` applies it again".to_owned(),
    });
    grant(&served.board, wish).await
}

async fn resume_table(
    State(served): State<Served>,
    which: Result<Query<WhichTable>, QueryRejection>,
) -> Response {
    grant(&served.board, of_table(which, |schema, table, decide| Wish::Resume { schema, table, decide }))
        .await
}

/// What is wished of a table.
fn of_table(
    which: Result<Query<WhichTable>, QueryRejection>,
    wish: impl Fn(String, String, Option<Decide>) -> Wish,
) -> Result<Wish, String> {
    let Query(WhichTable { table: name, decide }) = which.map_err(|error| {
        format!("{}; the parameters are table=SCHEMA.TABLE and decide=RULE", error.body_text())
    })?;
    let Some((schema, table)) = name.split_once('.') else {
        return Err(format!("{name:?} is no SCHEMA.TABLE"));
    };
    let decide = match decide.as_deref() {
        None => None,
        Some("newest") => Some(Decide::Newest),
        Some("here") => Some(Decide::Here),
        Some("incoming") => Some(Decide::Incoming),
        Some(other) => return Err(format!("decide is newest, here or incoming, not {other:?}")),
    };
    Ok(wish(schema.to_owned(), table.to_owned(), decide))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichTransaction {
    origin: String,
    sequence: Option<u64>,
    gtid: Option<String>,
    #[serde(default)]
    suspend: bool,
}

async fn skip(
    State(served): State<Served>,
    which: Result<Query<WhichTransaction>, QueryRejection>,
) -> Response {
    let wish = of_transaction(which, &served.board);
    grant(&served.board, wish).await
}

/// Which transaction is to be passed over, and how.
fn of_transaction(
    which: Result<Query<WhichTransaction>, QueryRejection>,
    board: &Board,
) -> Result<Wish, String> {
    let Query(WhichTransaction { origin: name, sequence, gtid, suspend }) = which.map_err(|error| {
        format!(
            "{}; the parameters are origin=REGION, sequence=N or gtid=G, and suspend=true",
            error.body_text()
        )
    })?;
    let origin = applied_origin(&name, board)?;
    let named = match (sequence, gtid) {
        (Some(sequence), None) => Named::Sequence(transaction::Sequence(sequence)),
        (None, Some(gtid)) => Named::Gtid(gtid),
        _ => return Err("a transaction is named by sequence=N or by gtid=G".to_owned()),
    };
    Ok(Wish::Skip { origin, named, suspend })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichOrigin {
    origin: String,
}

async fn accept_skew(
    State(served): State<Served>,
    which: Result<Query<WhichOrigin>, QueryRejection>,
) -> Response {
    let origin = which
        .map_err(|error| format!("{}; the parameter is origin=REGION", error.body_text()))
        .and_then(|Query(WhichOrigin { origin })| applied_origin(&origin, &served.board));
    grant(&served.board, origin.map(|origin| Wish::AcceptSkew { origin })).await
}

/// An origin whose work is applied here, by its name.
fn applied_origin(name: &str, board: &Board) -> Result<RegionName, String> {
    let origin = RegionName::new(name).map_err(|error| error.to_string())?;
    if board.origins.contains_key(&origin) {
        return Ok(origin);
    }
    let known = board.origins.keys().map(RegionName::as_str).collect::<Vec<_>>().join(", ");
    Err(format!("no region {origin} is applied here; {} applies: {known}", board.region))
}

/// Puts a wish where the lane finds it, and tells what it answers. What takes longer is accepted, and shows in the status.
async fn grant(board: &Board, wish: Result<Wish, String>) -> Response {
    let wish = match wish {
        Ok(wish) => wish,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    tracing::info!("by request: {wish:?}");
    let may_be_dropped = matches!(wish, Wish::Skip { .. });
    let answer = board.wishes.add(wish);
    board.wake.notify_waiters();
    match tokio::time::timeout(ANSWER_AFTER, answer).await {
        Ok(Ok(Ok(done))) => Json(json!({ "done": done })).into_response(),
        Ok(Ok(Err(reason))) => refuse(StatusCode::CONFLICT, reason),
        Ok(Err(_)) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the process stops".to_owned()),
        Err(_) if may_be_dropped => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing was done: what is being applied takes longer; look at `concord status` and try again"
                .to_owned(),
        ),
        Err(_) => {
            let done = "accepted; it takes a while, and shows in the status";
            (StatusCode::ACCEPTED, Json(json!({ "done": done }))).into_response()
        }
    }
}

async fn no_such_path(request: Request) -> Response {
    let error = format!(
        "there is no {}; there are GET /healthz, /readyz, /metrics, /v1/status, /v1/conflicts, /v1/conflicts/ID and POST /v1/pause, /v1/resume, /v1/skip, /v1/accept-skew, /v1/tables/suspend, /v1/tables/resume",
        request.uri().path()
    );
    refuse(StatusCode::NOT_FOUND, error)
}

async fn wrong_method(request: Request) -> Response {
    let error = format!(
        "{} is not for {}; /v1/pause, /v1/resume, /v1/skip, /v1/accept-skew and /v1/tables/… take POST, the others GET",
        request.method(),
        request.uri().path()
    );
    refuse(StatusCode::METHOD_NOT_ALLOWED, error)
}

fn refuse(code: StatusCode, error: String) -> Response {
    (code, Json(json!({ "error": error }))).into_response()
}

/// Runs what may wait for the disk on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer could not be made: {error}; see the log"),
        )
    })
}

#[cfg(test)]
mod tests;
