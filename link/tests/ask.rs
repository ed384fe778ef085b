//! Questions and their answers, over loopback with real TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use link::{AnswerStream, Link, LinkError, Options, RefusalCode};
use support::*;

async fn pair(window: u64) -> (tempfile::TempDir, Served, Link) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let served = serve(identity("us"), ca.security("us"), options(), &MemoryLog::new(1, [])).await;
    let options = Options { window, ..options() };
    let link = Link::new(identity("eu"), ca.security("eu"), options, Arc::new(Ears(Region::new(1))));
    (folder, served, link)
}

async fn all(mut answer: AnswerStream) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut all = Vec::new();
    while let Some(part) = soon(answer.next()).await {
        all.push(part?);
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_arrive_whole_and_in_order_whatever_their_size() {
    let (_folder, served, link) = pair(100_000).await;
    for kind in ["sizes", "many", "nothing"] {
        let answer = link.ask(&served.target, kind, b"payload".to_vec()).await.unwrap();
        assert_eq!(answer.peer().region, name("us"));
        assert!(all(answer).await.unwrap() == parts(kind), "{kind}");
    }
    let asked = served.region.asked.lock().unwrap().clone();
    assert_eq!(asked[0], (name("eu"), "sizes".to_owned(), b"payload".to_vec()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_fails_is_an_error_not_a_shorter_answer() {
    let (_folder, served, link) = pair(100_000).await;
    for (kind, reason) in [("broken", "the answer broke off"), ("failing", "table shop.orders is gone")] {
        let mut answer = link.ask(&served.target, kind, Vec::new()).await.unwrap();
        assert_eq!(answer.next().await.unwrap().unwrap(), b"a part");
        let error = answer.next().await.unwrap().unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(&format!("{kind:?}")), "{error}");
        assert!(answer.next().await.is_none());
    }
}

#[tokio::test]
async fn an_answer_cut_by_a_stopping_server_is_an_error() {
    let (_folder, served, link) = pair(100_000).await;
    let mut answer = link.ask(&served.target, "never", Vec::new()).await.unwrap();
    served.shutdown.send_replace(true);
    let error = soon(answer.next()).await.unwrap().unwrap_err();
    assert_eq!(error.refusal().unwrap().code, RefusalCode::ShuttingDown);
}

#[tokio::test]
async fn an_asker_that_does_not_read_holds_the_producer_back_and_beats_go_on() {
    let (_folder, served, link) = pair(10_000).await;
    let mut answer = link.ask(&served.target, "many", Vec::new()).await.unwrap();
    let mut heard = served.region.heard.subscribe();
    soon(heard.wait_for(|heard| heard.len() > 5)).await.unwrap();
    let produced = *served.region.produced.borrow();
    assert!(produced <= 10 + link::ANSWER_QUEUE + 1, "{produced} parts of 1000 bytes for a window of 10,000");
    let mut count = 0;
    while let Some(part) = soon(answer.next()).await {
        part.unwrap();
        count += 1;
    }
    assert_eq!(count, 1000);
}

#[tokio::test]
async fn dropping_the_answer_stops_the_producer() {
    let (_folder, served, link) = pair(10_000).await;
    for kind in ["many", "never"] {
        served.region.abandoned.send_replace(false);
        drop(link.ask(&served.target, kind, Vec::new()).await.unwrap());
        soon(served.region.abandoned.subscribe().wait_for(|abandoned| *abandoned)).await.unwrap();
    }
}

#[tokio::test]
async fn a_question_too_long_for_its_frame_is_told_here() {
    let (_folder, served, link) = pair(10_000).await;
    assert!(link.ask(&served.target, "", vec![0; 1 << 20]).await.is_ok());
    let error = link.ask(&served.target, "x", vec![0; 1 << 20]).await.unwrap_err();
    assert!(matches!(error, LinkError::QuestionTooLong { .. }), "{error}");
}
