//! Whole meshes of real MySQL servers and built `concord` processes, for the demo and for the tests in `tests/`.
//!
//! **What it is.** It starts servers and processes, kills them, talks SQL and HTTP to them, and compares tables.
//!
//! **What it is not.** It links no crate of the product: it sees what a user sees, which is the binary, its files, its
//! HTTP answers and the tables. So it can referee, and a misunderstanding inside the product cannot hide here too.
//! (`tests/walker` alone reads binlogs with the product's own walker: it is what that test judges.)
//!
//! **Invariants.**
//! - Everything started here is stopped by its process id when its handle is dropped; a killed test leaves nothing behind
//!   (children ask the kernel to die with their parent).
//! - Ports are held from the moment they are chosen, so that a server can come back on its own port after `kill -9`.
//! - Nothing waits without a bound, and a wait that ends tells what it waited for and what it saw last.
//!
//! **Where to start.** [`Mesh`] for everything at once; [`Server`], [`Concord`] and [`Sql`] for one thing each.

pub mod account;
pub mod binary;
pub mod canary;
pub mod case;
pub mod chaos;
pub mod clock;
pub mod compare;
pub mod concord;
pub mod config;
pub mod error;
pub mod hot;
pub mod mesh;
pub mod namespace;
pub mod port;
pub mod process;
pub mod random;
pub mod server;
pub mod shop;
pub mod sql;
pub mod standby;
pub mod status;
pub mod wait;
pub mod wan;

pub use compare::{Difference, compare_tables};
pub use concord::Concord;
pub use error::{Error, Result};
pub use mesh::{Mesh, MeshPlan, Region};
pub use server::{Server, ServerPlan};
pub use sql::Sql;
pub use status::Status;
pub use wait::wait_for;
pub use wan::Wan;
