//! Listener handover: the socket over which listeners are passed to another Pillion. Any process that listens there
//! gets them, so it must be in a folder that only our user can write to.

use std::fs::{DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::Path;

/// Makes the folder of the socket if it is not there, and checks it.
///
/// # Errors
/// Why listeners must not be handed over there.
pub(crate) fn prepare(socket: &str) -> Result<(), String> {
    let folder = folder_of(socket)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("upgrade.socket_path: {}: {error}", folder.display())),
    }
    check(socket)
}

/// Is there a folder of the socket? The one that takes the listeners makes it.
pub(crate) fn is_prepared(socket: &str) -> bool {
    folder_of(socket).is_ok_and(|folder| folder.symlink_metadata().is_ok())
}

/// Is the folder ours and private, and the socket in it, if it is there, ours as well?
///
/// # Errors
/// Why listeners must not be handed over there.
pub(crate) fn check(socket: &str) -> Result<(), String> {
    let folder = folder_of(socket)?;
    let found = |path: &Path| {
        path.symlink_metadata().map_err(|error| format!("upgrade.socket_path: {}: {error}", path.display()))
    };
    let wrong = |path: &Path, what: &str| Err(format!("upgrade.socket_path: {}: {what}", path.display()));
    // Of the process: its effective user owns it.
    let own_user = found(Path::new("/proc/self"))?.uid();
    let is_ours = |found: &Metadata| found.uid() == own_user;
    let of_folder = found(folder)?;
    if !of_folder.is_dir() || !is_ours(&of_folder) || of_folder.mode() & GROUP_AND_OTHERS_WRITE != 0 {
        return wrong(folder, "this must be a folder of Pillion's own user, writable by no other user (mode 0700)");
    }
    match Path::new(socket).symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(of_socket) if of_socket.file_type().is_socket() && is_ours(&of_socket) => Ok(()),
        _ => wrong(Path::new(socket), "this is not a socket of Pillion's own user"),
    }
}

const GROUP_AND_OTHERS_WRITE: u32 = 0o022;

fn folder_of(socket: &str) -> Result<&Path, String> {
    let folder = Path::new(socket).parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.ok_or_else(|| format!("upgrade.socket_path: {socket}: this needs a folder of its own"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_private_folder_will_do() {
        let base = std::env::temp_dir().join(format!("pillion-upgrade-test-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir(&base).expect("a folder");
        let socket = |folder: &str| base.join(folder).join("socket").display().to_string();
        // It is made, and found again.
        assert_eq!(prepare(&socket("made")), Ok(()));
        assert_eq!(base.join("made").metadata().expect("it").mode() & 0o777, 0o700);
        assert_eq!(prepare(&socket("made")), Ok(()));
        let _listener = UnixListener::bind(socket("made")).expect("a socket");
        assert_eq!(check(&socket("made")), Ok(()));
        // Others can write to it, it is a link, it is not there, it holds something else.
        fs::create_dir(base.join("shared")).expect("a folder");
        fs::set_permissions(base.join("shared"), fs::Permissions::from_mode(0o1777)).expect("its mode");
        symlink(base.join("made"), base.join("link")).expect("a link");
        fs::create_dir(base.join("file")).expect("a folder");
        fs::write(socket("file"), "").expect("a file");
        for wrong in ["shared", "link", "nowhere", "file"] {
            assert!(check(&socket(wrong)).is_err(), "{wrong}");
        }
        assert!(prepare("socket").is_err());
        let _ = fs::remove_dir_all(&base);
    }
}
