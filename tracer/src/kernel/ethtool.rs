//! What drivers say about their interfaces, asked as `ethtool` asks (`SIOCETHTOOL`).

use std::{ffi::c_void, io, os::unix::net::UnixDatagram, ptr};

use rustix::{
    ioctl::{Opcode, Updater, ioctl},
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap},
};

const SIOCETHTOOL: Opcode = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// The set of names that belongs to the counters.
const ETH_SS_STATS: u32 = 1;
/// The one that belongs to the features.
const ETH_SS_FEATURES: u32 = 4;
/// Bytes of a name.
const NAME_LEN: usize = 32;
/// More counters than any driver has.
const COUNTERS_MAX: u32 = 65_536;
/// Room for the names of as many, and more.
const FENCED_BYTES: usize = 4 << 20;
/// Behind that.
const FENCE_BYTES: usize = 64 << 10;

/// `struct ifreq` with a pointer in its union.
#[repr(C)]
struct Request {
    ifname: [u8; 16],
    data: *mut c_void,
    rest: [u64; 2],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_sset_info` for one set.
#[repr(C)]
struct SetInfo {
    command: u32,
    reserved: u32,
    sets: u64,
    count: u32,
    rest: u32,
}

const _: () = assert!(size_of::<Request>() == 40 && size_of::<DriverInfo>() == 196);
const _: () = assert!(FENCED_BYTES > COUNTERS_MAX as usize * NAME_LEN + 64);

/// The answer to a command that asks for one value, such as whether an offload is on. `None` where the kernel does not say.
#[must_use]
pub fn value(ifname: &str, command: u32) -> Option<u32> {
    let mut value = Value { command, data: 0 };
    ask(ifname, (&raw mut value).cast()).ok()?;
    Some(value.data)
}

/// The name of an interface's driver.
#[must_use]
pub fn driver(ifname: &str) -> Option<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    ask(ifname, (&raw mut info).cast()).ok()?;
    Some(text(&info.driver)).filter(|name| !name.is_empty())
}

/// Which features of an interface are on, by name (`ethtool -k`); none where the kernel does not say.
#[must_use]
pub fn features(ifname: &str) -> Vec<String> {
    active_features(ifname).unwrap_or_default()
}

fn active_features(ifname: &str) -> io::Result<Vec<String>> {
    let count = names_in(ifname, ETH_SS_FEATURES)?;
    let mut names = Fenced::new()?;
    names.set(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count]);
    ask(ifname, names.start)?;
    let mut states = Fenced::new()?;
    states.set(&[ETHTOOL_GFEATURES, count.div_ceil(u32::BITS)]);
    ask(ifname, states.start)?;
    let (names, states) = (names.bytes(), states.bytes());
    let names = names.get(12..).unwrap_or_default().as_chunks::<NAME_LEN>().0;
    // For each 32 features: which there can be, are wanted, are on, never change.
    let is_on = |place: usize| number(states, 8 + place / 32 * 16 + 8) & 1 << (place % 32) != 0;
    let count = usize::try_from(count).unwrap_or_default();
    let on = names.iter().take(count).enumerate().filter(|(place, _)| is_on(*place));
    Ok(on.map(|(_, name)| text(name)).collect())
}

/// How many names a set has; 0: there is none.
fn names_in(ifname: &str, set: u32) -> io::Result<u32> {
    let mut info = SetInfo { command: ETHTOOL_GSSET_INFO, reserved: 0, sets: 1 << set, count: 0, rest: 0 };
    match ask(ifname, (&raw mut info).cast()) {
        Err(error) if has_none(&error) => return Ok(0),
        answer => answer?,
    }
    if info.count > COUNTERS_MAX {
        return Err(io::Error::other(format!("{ifname}: {} names", info.count)));
    }
    Ok(if info.sets == 0 { 0 } else { info.count })
}

/// The counters of an interface's driver by name, in its own order (`ethtool -S`); none where it has none, or the interface
/// is gone.
///
/// # Errors
/// When the driver does not answer, or says that it has more than [`COUNTERS_MAX`].
pub fn statistics(ifname: &str) -> io::Result<Vec<(String, u64)>> {
    let count = names_in(ifname, ETH_SS_STATS)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    // The kernel writes as many as the driver has by then, whatever was said before; newer ones none if it is another number.
    let mut names = Fenced::new()?;
    names.set(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count]);
    ask(ifname, names.start)?;
    let mut values = Fenced::new()?;
    values.set(&[ETHTOOL_GSTATS, count]);
    ask(ifname, values.start)?;
    let (names, values) = (names.bytes(), values.bytes());
    let [name_count, value_count] =
        [number(names, 8), number(values, 4)].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let names = names.get(12..).unwrap_or_default().as_chunks::<NAME_LEN>().0;
    let values = values.get(8..).unwrap_or_default().as_chunks::<8>().0;
    let count = name_count.min(value_count);
    Ok(names
        .iter()
        .map(|name| text(name))
        .zip(values.iter().copied().map(u64::from_ne_bytes))
        .take(count)
        .collect())
}

fn has_none(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::OPNOTSUPP, Errno::NODEV].iter().any(|none| error.raw_os_error() == Some(none.raw_os_error()))
}

/// The number at `offset`.
fn number(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).copied().map_or(0, u32::from_ne_bytes)
}

/// What stands before the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// `data` is the structure of an ethtool command that only reads.
fn ask(ifname: &str, data: *mut c_void) -> io::Result<()> {
    let mut request = Request { ifname: [0; 16], data, rest: [0; 2] };
    for (to, from) in request.ifname.iter_mut().zip(ifname.bytes().take(15)) {
        *to = from;
    }
    // Any socket of the network namespace will do.
    let socket = UnixDatagram::unbound()?;
    // SAFETY: `SIOCETHTOOL` takes a `struct ifreq`; its pointer leads to a structure of the command in it, and callers
    // pass one that is as large as that command's, or memory with a fence behind it.
    unsafe { ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }?;
    Ok(())
}

/// Memory for an answer whose size the kernel alone decides. Behind it is a fence: should the kernel write that far, it gets an
/// error instead.
struct Fenced {
    start: *mut c_void,
}

impl Fenced {
    fn new() -> io::Result<Self> {
        let none = ProtFlags::empty();
        // SAFETY: new memory, without any reference to it.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), FENCED_BYTES + FENCE_BYTES, none, MapFlags::PRIVATE) }?;
        let fenced = Self { start };
        // SAFETY: a part of that memory.
        unsafe { mprotect(start, FENCED_BYTES, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        Ok(fenced)
    }

    /// Writes `words` to its beginning.
    fn set(&mut self, words: &[u32]) {
        for (place, word) in (0..FENCED_BYTES / size_of::<u32>()).zip(words) {
            // SAFETY: aligned, and before the fence.
            unsafe { self.start.cast::<u32>().add(place).write(*word) };
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: readable memory, zero where it was not written, that lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.cast(), FENCED_BYTES) }
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and there is no reference into it.
        let _unmapped = unsafe { munmap(self.start, FENCED_BYTES + FENCE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn interfaces_without_counters_have_none() {
        assert_eq!(statistics("lo").unwrap(), []);
        assert_eq!(statistics("not-there").unwrap(), []);
    }

    #[test]
    fn the_kernel_writes_as_much_as_it_has_and_not_beyond_the_fence() {
        // The names of offloads, which every interface has.
        const ETH_SS_FEATURES: u32 = 4;
        let request = [ETHTOOL_GSTRINGS, ETH_SS_FEATURES, 0];
        let mut fenced = Fenced::new().unwrap();
        fenced.set(&request);
        ask("lo", fenced.start).unwrap();
        assert!(number(fenced.bytes(), 8) > 1, "an interface without offloads");
        // Room for the request, and for one name.
        let at = FENCED_BYTES - 12 - NAME_LEN;
        let near = fenced.start.wrapping_byte_add(at);
        for (place, word) in request.into_iter().enumerate() {
            // SAFETY: before the fence, and aligned.
            unsafe { near.cast::<u32>().add(place).write(word) };
        }
        let error = ask("lo", near).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::FAULT.raw_os_error()));
    }
}
