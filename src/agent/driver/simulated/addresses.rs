//! The simulated network: a folder shared by all hosts with a file per IP address, which says who answers there and at
//! which port of loopback. The last announcement wins, as in a bridge's table.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{Simulated, guest};
use crate::agent::ledger::file;
use crate::domain::ids::LinodeId;
use crate::wire::GuestSpec;

/// In a guest's run folder: the files it announced.
const OURS: &str = "addresses";

impl Simulated {
    pub(super) fn tell_addresses(&self, linode: LinodeId, spec: &GuestSpec) -> io::Result<()> {
        let Some(dir) = &self.config.addresses else {
            return Ok(());
        };
        let port = fs::read_to_string(self.run_dir(linode).join(guest::PORT))?;
        let text = format!("{}\n127.0.0.1:{}\n", self.config.host, port.trim());
        fs::create_dir_all(dir)?;
        let files = spec.addresses.iter();
        let mut ours = String::new();
        for path in files.filter_map(|spec| address_file(dir, &spec.address)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            file::replace(dir, &name, text.as_bytes())?;
            ours.push_str(&name);
            ours.push('\n');
        }
        file::replace(&self.run_dir(linode), OURS, ours.as_bytes())
    }

    /// The guest's services as the simulated network shows them: its web server at port 80, the other one at 22.
    pub(super) fn reached(&self, linode: LinodeId, at: SocketAddr) -> Option<SocketAddr> {
        let run_dir = self.run_dir(linode);
        if let Some(dir) = &self.config.addresses {
            let file = address_file(dir, &at.ip().to_string())?;
            let text = fs::read_to_string(file).ok()?;
            if text.lines().next() != Some(self.config.host.as_str()) {
                return None;
            }
        }
        let port = match at.port() {
            80 => fs::read_to_string(run_dir.join(guest::WEB)),
            22 => fs::read_to_string(run_dir.join(guest::PORT)),
            _ => Ok(String::new()),
        };
        // Nobody listens on the first port.
        let port = port
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(1);
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    pub(super) fn take_addresses_away(&self, linode: LinodeId) -> io::Result<()> {
        let Some(dir) = &self.config.addresses else {
            return Ok(());
        };
        let run_dir = self.run_dir(linode);
        let ours = fs::read_to_string(run_dir.join(OURS)).unwrap_or_default();
        for name in ours.lines() {
            // Another host may have announced the address since: that is not ours to take away.
            let text = fs::read_to_string(dir.join(name)).unwrap_or_default();
            if text.lines().next() == Some(self.config.host.as_str()) {
                file::remove(dir, name)?;
            }
        }
        if ours.is_empty() {
            return Ok(());
        }
        file::remove(&run_dir, OURS)
    }
}

/// An address's file; anything that is not plainly an address has none.
fn address_file(dir: &Path, address: &str) -> Option<PathBuf> {
    let address: IpAddr = address.parse().ok()?;
    Some(dir.join(address.to_string().replace(':', "_")))
}
