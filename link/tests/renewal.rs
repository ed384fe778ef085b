//! Certificates that are exchanged while both regions run.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use link::{Link, LinkError, Renewal, Security, Target, Tls, TlsFiles};
use support::*;

/// The files of a region, in a folder of its own so that they can be exchanged.
fn install(folder: &std::path::Path, region: &str, ca: &Ca) -> TlsFiles {
    let folder = folder.join(region);
    std::fs::create_dir_all(&folder).unwrap();
    let issued = ca.issue(region, region, Valid::Now);
    let files =
        TlsFiles { ca: folder.join("ca.pem"), cert: folder.join("own.pem"), key: folder.join("own.key") };
    // The authority last: until then the set does not fit together, as in any exchange file by file.
    for (from, to) in [(&issued.key, &files.key), (&issued.cert, &files.cert), (&issued.ca, &files.ca)] {
        std::fs::copy(from, to).unwrap();
    }
    files
}

/// Pulls until it is connected; what was refused before that.
async fn connected(link: &Link, target: &Target) -> (tokio::task::JoinHandle<LinkError>, Vec<LinkError>) {
    let mut refused = Vec::new();
    soon(async {
        loop {
            let sink = MemorySink::from(1);
            let mut pulling = pull(link, target, &sink);
            let mut there = sink.connected.subscribe();
            tokio::select! {
                _ = there.wait_for(Option::is_some) => return (pulling, std::mem::take(&mut refused)),
                error = &mut pulling => refused.push(error.unwrap()),
            }
        }
    })
    .await
}

#[tokio::test]
async fn new_certificates_are_in_force_without_restart_and_end_the_connections_under_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new(&folder.path().join("old")), Ca::new(&folder.path().join("new")));
    let log = MemoryLog::new(1, [10; 10]);
    let us = Security::Mutual(Tls::load(&install(folder.path(), "us", &old), name("us")).unwrap());
    let eu = Tls::load(&install(folder.path(), "eu", &old), name("eu")).unwrap();
    let served = serve(identity("us"), us, options(), &log).await;
    let link = client("eu", Security::Mutual(eu.clone()));

    let (pulling, _) = connected(&link, &served.target).await;
    install(folder.path(), "us", &new);
    // The one who serves ends what it agreed on under the old authority, and knows it no more.
    let error = soon(pulling).await.unwrap();
    assert!(error.to_string().contains("has new certificates"), "{error}");
    let error = soon(pull(&link, &served.target, &MemorySink::from(1))).await.unwrap();
    assert!(error.to_string().contains("not from the CA that this region trusts"), "{error}");

    install(folder.path(), "eu", &new);
    assert!(matches!(eu.renew(), Renewal::Renewed));
    let (pulling, refused) = connected(&link, &served.target).await;
    assert!(refused.is_empty(), "{refused:?}");

    // The one who pulls does so as well.
    install(folder.path(), "eu", &new);
    assert!(matches!(eu.renew(), Renewal::Renewed));
    let error = soon(pulling).await.unwrap();
    assert!(error.to_string().contains("this region's certificates were renewed"), "{error}");
}

#[tokio::test]
async fn new_files_that_are_no_good_leave_the_old_ones_in_force_and_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new(&folder.path().join("one")), Ca::new(&folder.path().join("other")));
    let files = install(folder.path(), "eu", &ca);
    let eu = Tls::load(&files, name("eu")).unwrap();
    assert!(matches!(eu.renew(), Renewal::Unchanged));
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), ca.security("us"), options(), &log).await;
    let link =
        Link::new(identity("eu"), Security::Mutual(eu.clone()), options(), Arc::new(Ears(Region::new(1))));
    let (pulling, _) = connected(&link, &served.target).await;

    std::fs::copy(other.issue("eu", "eu", Valid::Now).cert, &files.cert).unwrap();
    let Renewal::Refused(error) = eu.renew() else { panic!("a foreign certificate is in force") };
    assert!(error.to_string().contains("own.pem: is not good for region eu"), "{error}");
    assert!(matches!(eu.renew(), Renewal::Unchanged));
    std::fs::remove_file(&files.key).unwrap();
    assert!(matches!(eu.renew(), Renewal::Refused(_)));
    assert!(!pulling.is_finished());
    pulling.abort();
    let (pulling, refused) = connected(&link, &served.target).await;
    assert!(refused.is_empty(), "{refused:?}");
    pulling.abort();
}
