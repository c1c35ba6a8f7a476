//! The running kernel's version.

use anyhow::{Result, bail};

/// Major and minor number of the running kernel's version.
///
/// # Errors
/// Where its release does not begin with them.
pub fn kernel_version() -> Result<(u32, u32)> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut parts = release.split(['.', '-']).map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("the kernel's release is {release}"),
    }
}
