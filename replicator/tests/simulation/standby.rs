//! A standby of a simulated server, which falls behind and takes its place.

use transaction::Gtid;

use super::rows::set;
use super::server::{Past, Server, State, Undo};

impl Server {
    /// From now on the standby gets nothing any more.
    pub(crate) fn leave_standby_behind(&self) {
        let mut state = self.state.borrow().clone();
        let open = std::mem::take(&mut state.open);
        for undo in open.into_values().rev().flat_map(|open| open.undo.into_iter().rev()) {
            match undo {
                Undo::Row(table, key, old) => set(&mut state, &self.schema, table, &key, old),
                Undo::Marker(place, Some(old)) => drop(state.markers.insert(place, old)),
                Undo::Marker(place, None) => drop(state.markers.remove(&place)),
                Undo::Suspensions(old) => state.suspensions = old,
            }
        }
        state.locks.clear();
        *self.standby.borrow_mut() = Some(state);
    }

    /// The primary dies, and the standby is the primary. False if there is none.
    pub(crate) fn fail_over(&self) -> bool {
        let Some(standby) = self.standby.borrow_mut().take() else { return false };
        self.crash();
        let groups = standby.binlog.groups.len();
        let clients = self.clients();
        *self.past.borrow_mut() = Past { clients, groups };
        let mut state = self.state.borrow_mut();
        // Connections and transactions of before are none of this one's.
        *state = State { epoch: state.epoch, last: state.last, ..standby };
        state.binlog.become_another();
        drop(state);
        self.restart();
        true
    }

    /// What clients committed, on all primaries, in the order in which the log has it.
    pub(crate) fn clients(&self) -> Vec<Gtid> {
        let Past { mut clients, groups } = self.past.borrow().clone();
        let state = self.state.borrow();
        let own = state.binlog.groups.iter().skip(groups).filter(|group| group.client);
        clients.extend(own.map(|group| group.gtid));
        clients
    }
}
