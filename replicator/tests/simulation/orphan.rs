//! Transactions whose connection is lost: the server notices later, and until then they hold their locks.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;
use transaction::RegionName;

use super::locks::Txn;
use super::server::Server;

#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) txn: Txn,
    pub(crate) tag: Option<RegionName>,
    /// The server has its COMMIT.
    pub(crate) commits: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Orphans {
    left: RefCell<Vec<Orphan>>,
    some: Notify,
}

impl Orphans {
    pub(crate) fn leave(&self, orphan: Orphan) {
        self.left.borrow_mut().push(orphan);
        self.some.notify_one();
    }

    /// Ends them, each at its own time.
    pub(crate) async fn reap(self: Rc<Self>, server: Rc<Server>) {
        const NOTICED_MS: u64 = 300;
        loop {
            self.some.notified().await;
            for orphan in self.left.take() {
                let server = server.clone();
                tokio::task::spawn_local(async move {
                    server.dice.pause(NOTICED_MS).await;
                    if orphan.commits {
                        server.commit(orphan.txn, orphan.tag);
                    } else {
                        server.rollback(orphan.txn);
                    }
                });
            }
        }
    }
}
