//! What goes wrong during a run, and how it is mended.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use applier::{Named, Wish};
use log_store::disk::{Disk, SimulatedDisk};

use super::super::retention::{self, Keep};
use super::clock;
use super::mesh::Mesh;
use super::region::Process;
use super::schema::NAME;

/// Causes faults until it is stopped; each is mended after a while.
pub(crate) async fn cause(mesh: Rc<Mesh>) {
    let regions = mesh.names.len() as u64;
    if mesh.shape.fault_ms == 0 {
        return std::future::pending().await;
    }
    while !mesh.failed() {
        mesh.dice.pause(mesh.shape.fault_ms).await;
        if mesh.shape.failovers && mesh.dice.percent(30) {
            fail_over(&mesh).await;
            continue;
        }
        let place = mesh.dice.below(regions) as usize;
        match mesh.dice.below(if mesh.shape.suspends { 14 } else { 9 }) {
            0 | 1 => {
                let power = mesh.dice.percent(50);
                kill(&mesh, place, power).await;
                mesh.dice.pause(if mesh.dice.percent(30) { 2_000 } else { 50 }).await;
                mesh.start(place).await;
            }
            2 | 3 => {
                let other = mesh.dice.below(regions) as usize;
                let pair = (place.min(other), place.max(other));
                mesh.cut.borrow_mut().insert(pair);
                mesh.note(format!("{} and {} are cut off", mesh.names[place], mesh.names[other]));
            }
            4 => mesh.cut.borrow_mut().clear(),
            5 => set_clock(&mesh, place),
            6 => sweep(&mesh, place),
            8 => pause(&mesh, place),
            9..=11 => suspend(&mesh, place),
            12 | 13 => skip(&mesh, place),
            _ if mesh.shape.mysqld_crashes => {
                mesh.note(format!("mysqld of {} dies", mesh.names[place]));
                mesh.servers[place].crash();
                mesh.dice.pause(300).await;
                mesh.servers[place].restart();
            }
            _ => sweep(&mesh, place),
        }
    }
}

/// A standby stops to follow; some time later it takes over. What clients had committed on the old primary was logged: what was not is lost,
/// and nobody could tell.
async fn fail_over(mesh: &Rc<Mesh>) {
    const LOOKS: usize = 400;
    let place = mesh.dice.below(mesh.names.len() as u64) as usize;
    let (server, name) = (&mesh.servers[place], mesh.names[place]);
    // A standby that lacks a part of an earlier tail, and has what came after it, is refused.
    let whole =
        |process: &Option<Process>| process.as_ref().is_some_and(|process| !process.lacks_tail(server, name));
    if !whole(&mesh.processes.borrow()[place]) || server.connect().is_none() {
        return;
    }
    server.leave_standby_behind();
    mesh.note(format!("the standby of {name} falls behind"));
    mesh.dice.pause(2_000).await;
    for _ in 0..LOOKS {
        let ready =
            mesh.processes.borrow()[place].as_ref().is_some_and(|process| process.has_logged_all(server));
        if ready && server.connect().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Nothing happens between this look and the switch.
    let ready = mesh.processes.borrow()[place].as_ref().is_some_and(|process| process.has_logged_all(server));
    if !ready || server.connect().is_none() {
        return;
    }
    mesh.note(format!("the standby of {name} takes over"));
    server.fail_over();
    mesh.failovers.set(mesh.failovers.get() + 1);
    kill(mesh, place, mesh.dice.percent(30)).await;
    // Clients may be there first.
    mesh.dice.pause(if mesh.dice.percent(50) { 1_000 } else { 20 }).await;
    mesh.start(place).await;
}

/// An origin is paused, or goes on.
fn pause(mesh: &Mesh, place: usize) {
    let processes = mesh.processes.borrow();
    let Some(process) = &processes[place] else { return };
    let origins: Vec<_> = process.progress.keys().copied().collect();
    let origin = *mesh.dice.pick(&origins);
    process.progress[&origin].send_modify(|progress| progress.paused = !progress.paused);
    mesh.note(format!("{} pauses {origin}, or resumes it", mesh.names[place]));
}

/// A table is to be suspended, or resumed.
fn suspend(mesh: &Mesh, place: usize) {
    let processes = mesh.processes.borrow();
    let Some(process) = &processes[place] else { return };
    let (schema, table) =
        (NAME.to_owned(), mesh.schema.tables[*mesh.dice.pick(&mesh.shape.tables)].name.to_owned());
    let wish = match mesh.dice.percent(50) {
        true => Wish::Suspend { schema, table, reason: "a wish".to_owned() },
        false => Wish::Resume { schema, table, decide: None },
    };
    mesh.note(format!("{}: {wish:?}", mesh.names[place]));
    process.wish(wish);
}

/// The next transaction of an origin is to be passed over, whatever it is. What clients added to tallies must arrive.
fn skip(mesh: &Mesh, place: usize) {
    let processes = mesh.processes.borrow();
    let Some(process) = &processes[place] else { return };
    if mesh.shape.tables.iter().any(|table| mesh.schema.tables[*table].tally) {
        return;
    }
    let origins: Vec<_> = process.progress.keys().copied().collect();
    let origin = *mesh.dice.pick(&origins);
    let next = mesh.servers[place].applied_to(origin).next();
    let wish = Wish::Skip { origin, named: Named::Sequence(next), suspend: mesh.dice.percent(30) };
    mesh.note(format!("{}: {wish:?}", mesh.names[place]));
    process.wish(wish);
}

/// Sets a region's clock wrong, and perhaps back.
pub(crate) fn set_clock(mesh: &Mesh, place: usize) {
    let ahead_ms = mesh.dice.between(-mesh.shape.skew_ms, mesh.shape.skew_ms);
    clock::set(place, ahead_ms * 1_000);
}

/// Everything is up and connected from now on.
pub(crate) async fn mend(mesh: &Rc<Mesh>) {
    mesh.cut.borrow_mut().clear();
    for (place, server) in mesh.servers.iter().enumerate() {
        if server.connect().is_none() {
            server.restart();
        }
        if mesh.processes.borrow()[place].is_none() && !mesh.failed() {
            mesh.start(place).await;
        }
        for process in mesh.processes.borrow()[place].iter() {
            process
                .progress
                .values()
                .for_each(|sender| sender.send_modify(|progress| progress.paused = false));
        }
    }
    // Once more a restart in the middle of what is not stable yet.
    if mesh.dice.percent(50) && !mesh.failed() {
        tokio::time::sleep(Duration::from_millis(mesh.dice.below(1_500))).await;
        let place = mesh.dice.below(mesh.names.len() as u64) as usize;
        sweep(mesh, place);
        kill(mesh, place, true).await;
        mesh.start(place).await;
    }
}

/// The region's process dies; with `power`, so does its machine, and what was not synced is gone or torn.
async fn kill(mesh: &Rc<Mesh>, place: usize, power: bool) {
    let Some(process) = mesh.processes.borrow_mut()[place].take() else { return };
    mesh.note(format!("{} dies{}", mesh.names[place], if power { " with its machine" } else { "" }));
    mesh.archive_own(place, &process.board.logs);
    process.kill().await;
    if power {
        let survived = mesh.disks.borrow()[place].crash(mesh.dice.next());
        if mesh.shape.disks_lie {
            forget(mesh, place, &survived);
        }
        mesh.disks.borrow_mut()[place] = survived;
    }
}

/// The disk has lost the end of a copy though it had said that it was written. Whoever wrote that is there, to send it again.
fn forget(mesh: &Mesh, place: usize, disk: &SimulatedDisk) {
    const HEADER_LEN: usize = 64;
    let there: Vec<usize> = (0..mesh.names.len()).filter(|other| *other != place).collect();
    let there: Vec<usize> = there.into_iter().filter(|other| mesh.linked(place, *other)).collect();
    if there.is_empty() {
        return;
    }
    let origin = mesh.names[*mesh.dice.pick(&there)];
    let folder = Path::new("/data").join(origin.as_str());
    let names = disk.list(&folder).unwrap_or_default().into_iter().map(|entry| entry.name);
    let Some(last) = names.filter(|name| name.ends_with(".seg")).max() else { return };
    let path = folder.join(last);
    let mut bytes = disk.read(&path).unwrap_or_default();
    if bytes.len() > HEADER_LEN {
        let lost = 1 + mesh.dice.below((bytes.len() - HEADER_LEN) as u64) as usize;
        bytes.truncate(bytes.len() - lost);
        disk.overwrite(&path, bytes);
        mesh.note(format!("{} has lost {lost} bytes of its copy of the log of {origin}", mesh.names[place]));
    }
}

/// Deletes every segment that nothing needs.
fn sweep(mesh: &Mesh, place: usize) {
    if mesh.shape.failovers {
        return;
    }
    let processes = mesh.processes.borrow();
    let Some(process) = &processes[place] else { return };
    mesh.archive_own(place, &process.board.logs);
    let before: usize = process.board.logs.iter().map(|(_, entry)| entry.log.segments().len()).sum();
    retention::sweep(&process.board, Keep { age_us: 0, bytes: 0 });
    let after: usize = process.board.logs.iter().map(|(_, entry)| entry.log.segments().len()).sum();
    mesh.note(format!("{} deletes {} segments", mesh.names[place], before - after));
}
