//! Whether the hoptrace that a filter belongs to still lives.
//!
//! Each tracer, together with its guardian, holds an abstract Unix socket with its number in the name. Such names are
//! those of a network namespace, as filters are, and the kernel frees one when the last process that holds it ends.

use std::{
    io,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

use super::OwnerId;

/// Our number, as long as this socket is open anywhere.
#[derive(Debug)]
pub(in crate::attach) struct Owner {
    pub(in crate::attach) id: OwnerId,
    socket: UnixDatagram,
}

impl Owner {
    /// A number of this process alone.
    ///
    /// # Errors
    /// When no socket can be had, or all numbers are taken.
    pub(in crate::attach) fn claim() -> io::Result<Self> {
        // Any start will do; ours makes it likely that the first number is free.
        let start = u16::try_from(std::process::id() % u32::from(OwnerId::COUNT)).unwrap_or_default();
        for offset in 0..OwnerId::COUNT {
            let id = OwnerId::new(start + offset);
            match UnixDatagram::bind_addr(&name(id)?) {
                Ok(socket) => return Ok(Self { id, socket }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many tracers"))
    }

    /// A handle on the number, for another process to hold it, too.
    pub(in crate::attach) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.socket.try_clone()?.into())
    }
}

/// Whether a tracer or its guardian holds this number. In doubt, yes: then nothing is removed.
pub(in crate::attach) fn is_alive(id: OwnerId) -> bool {
    let knock = || UnixDatagram::unbound()?.connect_addr(&name(id)?);
    !matches!(knock(), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

fn name(id: OwnerId) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("hoptrace-clsact-{:04x}", id.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_until_its_last_holder_is_gone() {
        let owner = Owner::claim().unwrap();
        let id = owner.id;
        let other = Owner::claim().unwrap();
        assert_ne!(other.id, id);
        assert!(is_alive(id) && is_alive(other.id));
        let guardian = owner.share().unwrap();
        drop(owner);
        assert!(is_alive(id));
        drop(guardian);
        assert!(!is_alive(id));
    }
}
