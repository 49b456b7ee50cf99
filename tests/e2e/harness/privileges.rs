//! What a few tests need that a machine may not allow. Where it is missing they are skipped, and say so.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Something that not everybody may do.
struct Privilege {
    /// The tests that need it.
    tests: &'static [&'static str],
    /// What it is, for people.
    name: &'static str,
    /// Ends with 0 where it is allowed.
    probe: &'static [&'static str],
}

const PRIVILEGES: [Privilege; 3] = [
    Privilege {
        tests: &["jobs::no_job_id_when_the_store_is_full"],
        name: "unshare and mount (user namespaces)",
        probe: &["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", "/tmp"],
    },
    Privilege {
        tests: &["containers::the_manifests_start"],
        name: "setpriv to another user (root)",
        probe: &["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "true"],
    },
    Privilege {
        tests: &["containers::the_image_is_complete"],
        name: "chroot (root)",
        probe: &["/usr/sbin/chroot", "--userspec=65532:65532", "/", "true"],
    },
];

/// What this machine does not allow the test of this name, if there is anything.
pub fn missing(test: &str) -> Option<&'static str> {
    static ALLOWED: [OnceLock<bool>; PRIVILEGES.len()] = [const { OnceLock::new() }; PRIVILEGES.len()];
    let (privilege, allowed) =
        PRIVILEGES.iter().zip(&ALLOWED).find(|(privilege, _)| privilege.tests.contains(&test))?;
    (!allowed.get_or_init(|| is_allowed(privilege.probe))).then_some(privilege.name)
}

fn is_allowed(probe: &[&str]) -> bool {
    let mut command = Command::new(probe[0]);
    command.args(&probe[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
