//! Loopback ports that are kept for a server, while it is down, too.
//!
//! Must never be a port that was free a moment ago: another test, or a client's own end of a connection, would take it.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

/// A port that nobody but our server gets, as long as this lives.
///
/// A socket is bound to it and never listens. It was bound alone, so no other could be, and only then lets sockets with
/// `SO_REUSEADDR` stand beside it: servers set that, those who look for a free port do not.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _kept: OwnedFd,
}

impl Port {
    pub(crate) fn free() -> Result<Self> {
        let kept = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&kept, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        sockopt::set_socket_reuseaddr(&kept, true)?;
        let address =
            SocketAddrV4::try_from(getsockname(&kept)?).ok().context("the address is as asked for")?;
        Ok(Self { number: address.port(), _kept: kept })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Whether somebody listens.
    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.number)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::{Shutdown, shutdown};

    use super::*;

    #[test]
    fn a_kept_port_is_for_a_server_alone_before_it_listens_and_after() {
        let port = Port::free().unwrap();
        for _ in 0..2 {
            assert!(!port.listens());
            assert_ne!(Port::free().unwrap().number(), port.number());
            // The standard library sets SO_REUSEADDR, as servers do.
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
            assert!(port.listens());
            // Closing is not enough: a process that another test starts holds a copy of it until it has become its program.
            shutdown(&server, Shutdown::Both).unwrap();
        }
        let other = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&other, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.number())).unwrap_err();
    }
}
