//! A wide area network between regions, in user space: delay, jitter, loss, bandwidth and cuts, each direction by itself.
//!
//! **What it is.** Each region has a network namespace with two devices:
//!
//! - `wan`, by which it reaches the other regions and nobody else. What it sends there comes to us as packets, and each packet goes
//!   on when the [`Path`] of that pair of regions says so, or never. No queue of the kernel has to know of it, so it works wherever
//!   network namespaces and TUN devices do.
//! - `side`, by which it reaches the network of the test, not delayed: its MySQL server, whoever asks its HTTP.
//!
//! **What it is not.** It does not move MySQL: servers stay in the network of the test, where every client reaches them as usual.
//!
//! **Where to start.** [`Wan::begin`], then [`crate::MeshPlan::wan`] for a mesh whose Concords live in these regions, [`Wan::set`] at any time.

mod path;
mod relay;

pub use path::{Course, Fate, Path, Reason};
pub use relay::Counts;

use crate::namespace::{Home, Namespace, ip};
use crate::{Error, Result};
use relay::{Relay, Shore};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tun_rs::{DeviceBuilder, Layer};

/// Regions at most: each has a subnet for its side.
const REGIONS_MAX: usize = 200;

/// Where a region lives: its namespace and its addresses. They are the same in every run, since nobody else sees them.
#[derive(Debug, Clone)]
pub struct Place {
    /// The region's name.
    pub region: String,
    /// Its network.
    pub namespace: Arc<Namespace>,
    /// Its address for other regions.
    pub address: Ipv4Addr,
    /// Its address for the test.
    pub side: Ipv4Addr,
    /// The test's address for it, where its server listens.
    pub test: Ipv4Addr,
}

/// The network between regions. When it is dropped nothing is carried any more, and the regions' networks end with their processes.
#[derive(Debug)]
pub struct Wan {
    places: Vec<Place>,
    relay: Relay,
}

impl Wan {
    /// Networks for these regions, with every path open. One at a time in a home.
    pub fn begin(_home: Home, regions: &[&str]) -> Result<Self> {
        if regions.len() > REGIONS_MAX {
            return Err(Error::Unexpected(format!(
                "a WAN has {REGIONS_MAX} regions at most, not {}",
                regions.len()
            )));
        }
        let mut places = Vec::new();
        let mut shores = Vec::new();
        for (number, region) in (1..).zip(regions) {
            let place = Place {
                region: (*region).to_owned(),
                namespace: Arc::new(Namespace::begin(region)?),
                address: Ipv4Addr::new(10, 77, 0, number),
                side: Ipv4Addr::new(10, 78, number, 2),
                test: Ipv4Addr::new(10, 78, number, 1),
            };
            shores.push(settle(&place, number)?);
            places.push(place);
        }
        Ok(Self { places, relay: Relay::begin(shores)? })
    }

    /// Changes the path from one region to another, at once and also for what is under way where it cuts; not the way back.
    pub fn set(&self, from: &str, to: &str, path: Path) -> Result<()> {
        let (from, to) = (self.index(from)?, self.index(to)?);
        self.relay.set(from, to, path);
        Ok(())
    }

    /// Changes the paths between all regions, in both directions.
    pub fn set_all(&self, path: Path) {
        for from in 0..self.places.len() {
            for to in 0..self.places.len() {
                self.relay.set(from, to, path);
            }
        }
    }

    /// What became of the packets from one region to another so far.
    pub fn counts(&self, from: &str, to: &str) -> Result<Counts> {
        Ok(self.relay.counts(self.index(from)?, self.index(to)?))
    }

    /// Where a region lives.
    pub fn place(&self, region: &str) -> Result<&Place> {
        let found = self.places.iter().find(|place| place.region == region);
        found.ok_or_else(|| no_region(region))
    }

    /// The address at which other regions reach it.
    pub fn address(&self, region: &str) -> Result<Ipv4Addr> {
        self.place(region).map(|place| place.address)
    }

    /// Where all regions live, in the order of their names at the beginning.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    fn index(&self, region: &str) -> Result<usize> {
        self.places.iter().position(|place| place.region == region).ok_or_else(|| no_region(region))
    }
}

fn no_region(region: &str) -> Error {
    Error::Unexpected(format!("this WAN has no region {region}"))
}

/// Makes the two devices of a region; its end of the relay.
fn settle(place: &Place, number: u8) -> Result<Shore> {
    let Place { namespace, address, side, test, .. } = place;
    ip(&format!("link add side{number} type veth peer name side netns {}", namespace.path()))?;
    ip(&format!("address add {test}/24 dev side{number}"))?;
    ip(&format!("link set side{number} up"))?;
    let device = namespace.inside(|| {
        ip(&format!("address add {side}/24 dev side"))?;
        ip("link set side up")?;
        let device = DeviceBuilder::new()
            .name("wan")
            .layer(Layer::L3)
            .build_sync()
            .map_err(Error::io("open /dev/net/tun (it takes the kernel's module `tun`, and without root `chmod 666 /dev/net/tun`)"))?;
        device.set_nonblocking(true).map_err(Error::io("set up the device of a region"))?;
        // Room for whatever comes while this process waits for a processor: only paths lose packets.
        ip("link set wan mtu 1500 txqueuelen 10000")?;
        ip(&format!("address add {address}/24 dev wan"))?;
        ip("link set wan up")?;
        Ok(device)
    })?;
    Ok(Shore::new(device, *address))
}
