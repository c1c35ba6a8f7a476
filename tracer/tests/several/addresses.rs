//! Addresses that guests use beside their own, and whose packets of these come from the NIC.

use anyhow::{Result, ensure};
use hoptrace::model::PortId;

use super::{
    PACKETS, Several, WIRE_IN, datagram, mac, tap_index,
    veths::{in_namespace, ip},
};

/// Where what leaves the guest enters its tap: the first of the plan's hooks.
const TAP_OUT: usize = 0;
/// A virtual router's address, and the length of a program's context with the interface in it.
const ROUTER: [u8; 6] = [0, 0, 0x5e, 0, 1, 7];
const CONTEXT_LEN: usize = 192;
const IFINDEX_AT: usize = 40;
const ARP: [u8; 2] = [8, 6];

/// A host with the taps of so many ports.
fn taps(ports: u8) -> Result<()> {
    (1..=ports).try_for_each(|port| {
        ip(&format!("link add tap{port} index {} type veth peer name guest{port}", tap_index(port)))
    })
}

impl Several {
    /// A frame comes out of the guest of `port`.
    fn leave(&self, port: u8, frame: &[u8]) -> Result<()> {
        let mut context = [0; CONTEXT_LEN];
        context[IFINDEX_AT..IFINDEX_AT + 4].copy_from_slice(&tap_index(port).to_ne_bytes());
        self.run(TAP_OUT, frame, Some(&context))
    }

    /// So many new datagrams come from the wire for an address.
    fn come(&self, to: [u8; 6], round: u64) -> Result<()> {
        for number in 0..PACKETS {
            let mut frame = datagram(9, 1, round * PACKETS + number);
            frame[..6].copy_from_slice(&to);
            self.run(WIRE_IN, &frame, None)?;
        }
        Ok(())
    }

    /// Packets to each of two guests that have entered.
    fn entered(&mut self) -> Result<[u64; 2]> {
        self.collector.sweep();
        let of = |port| -> Result<u64> { Ok(self.ledgers(PortId(port))?[1].entered) };
        Ok([of(0)?, of(1)?])
    }
}

/// An announcement of an IPv4 address, to all, as who takes over a virtual router sends it.
fn announcement(from: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &from, &ARP, &request, &from, &address, &[0; 6], &address, &[0; 18]].concat()
}

/// A datagram of a guest under another address.
fn sent_as(from: [u8; 6], port: u8, number: u64) -> Vec<u8> {
    let mut frame = datagram(port, 9, number);
    frame[6..12].copy_from_slice(&from);
    frame
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_comes_for_a_virtual_router_is_for_the_guest_that_has_it_now() -> Result<()> {
    in_namespace(|| {
        taps(2)?;
        let mut several = Several::start(&[1, 2], 2)?;
        several.come(ROUTER, 0)?;
        ensure!(several.entered()? == [0, 0], "it is no guest's yet: {:?}", several.entered()?);
        several.leave(1, &sent_as(ROUTER, 1, 0))?;
        several.come(ROUTER, 1)?;
        ensure!(several.entered()? == [PACKETS, 0], "the first has it: {:?}", several.entered()?);
        // It fails over.
        several.leave(2, &announcement(ROUTER, [10, 0, 0, 7]))?;
        several.come(ROUTER, 2)?;
        ensure!(several.entered()? == [PACKETS, PACKETS], "now the second: {:?}", several.entered()?);
        // And back.
        several.leave(1, &sent_as(ROUTER, 1, 2))?;
        several.come(ROUTER, 3)?;
        ensure!(several.entered()? == [2 * PACKETS, PACKETS], "the first again: {:?}", several.entered()?);
        Ok(())
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn who_invents_addresses_does_not_drive_out_those_of_others() -> Result<()> {
    in_namespace(|| {
        taps(2)?;
        let mut several = Several::start(&[1, 2], 2)?;
        several.leave(2, &sent_as(ROUTER, 2, 0))?;
        for number in 0..20_000_u64 {
            let [a, b, ..] = number.to_le_bytes();
            several.leave(1, &sent_as([2, 0xbe, 0xef, 0, b, a], 1, number))?;
        }
        several.come(ROUTER, 1)?;
        ensure!(several.entered()? == [0, PACKETS], "{:?}", several.entered()?);
        let own = several.ledgers(PortId(0))?;
        ensure!(own.iter().all(|ledger| ledger.balanced), "{own:?}");
        several.come(mac(1), 2)?;
        ensure!(several.entered()? == [PACKETS, PACKETS], "{:?}", several.entered()?);
        Ok(())
    })
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_address_that_another_host_takes_over_is_no_guest_s_any_more() -> Result<()> {
    in_namespace(|| {
        taps(2)?;
        let mut several = Several::start(&[1, 2], 2)?;
        several.leave(1, &sent_as(ROUTER, 1, 0))?;
        several.come(ROUTER, 1)?;
        ensure!(several.entered()? == [PACKETS, 0], "{:?}", several.entered()?);
        // It is kept for a moment, lest a frame of the guest's own that comes back takes it away.
        std::thread::sleep(super::TIMEOUT);
        several.run(WIRE_IN, &announcement(ROUTER, [10, 0, 0, 7]), None)?;
        let before = several.entered()?;
        several.come(ROUTER, 2)?;
        ensure!(several.entered()? == before, "{before:?} before, now {:?}", several.entered()?);
        // Its own address is still its own.
        several.come(mac(1), 3)?;
        let [now, _] = several.entered()?;
        ensure!(now == before[0] + PACKETS, "{before:?} before, now {now}");
        Ok(())
    })
}
