//! Finds out whether a file is on a volume that goes with its container or its pod: a memory file system, the writable
//! layer of a container, a Kubernetes `emptyDir`. Jobs stored there are lost, and no other replica sees them.

use std::fs;
use std::path::{Path, PathBuf};

/// What kind of ephemeral volume `file` is on. `None` if it is on another one, or if that cannot be found out.
#[must_use]
pub(crate) fn ephemeral_volume(file: &Path) -> Option<&'static str> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    kind_of(&fs::read_to_string("/proc/self/mountinfo").ok()?, &folder.canonicalize().ok()?)
}

/// The same by the text of `/proc/self/mountinfo`: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
fn kind_of(mountinfo: &str, folder: &Path) -> Option<&'static str> {
    let mounts = mountinfo.lines().filter_map(Mount::read).filter(|mount| folder.starts_with(&mount.point));
    // Of two at one place the later one hides the other.
    let mount = mounts.enumerate().max_by_key(|(order, mount)| (mount.point.components().count(), *order))?.1;
    match mount.file_system {
        "tmpfs" | "ramfs" => Some("memory"),
        "overlay" | "aufs" => Some("the writable layer of the container"),
        _ if mount.root.contains("/kubernetes.io~empty-dir/") => Some("an emptyDir"),
        _ => None,
    }
}

struct Mount<'m> {
    root: &'m str,
    point: PathBuf,
    file_system: &'m str,
}

impl<'m> Mount<'m> {
    fn read(line: &'m str) -> Option<Self> {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\").into();
        Some(Self { root, point, file_system: source.split(' ').next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
30 22 0:25 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=65536k
31 22 8:1 /var/lib/kubelet/pods/6b/volumes/kubernetes.io~empty-dir/data /var/lib/pillion rw,relatime - ext4 /dev/sda1 rw
32 22 8:16 / /var/lib/pillion/kept rw,relatime shared:7 - ext4 /dev/sdb rw
33 22 8:32 / /mnt/two\\040words rw,relatime - xfs /dev/sdc rw
34 22 8:48 / /mnt/memory rw,relatime - xfs /dev/sdd rw
35 34 0:26 / /mnt/memory rw - tmpfs tmpfs rw
";

    #[test]
    fn the_innermost_mount_decides() {
        for (folder, kind) in [
            ("/data", Some("the writable layer of the container")),
            ("/dev/shm", Some("memory")),
            ("/dev/shm/jobs", Some("memory")),
            ("/dev/shmem", Some("the writable layer of the container")),
            ("/var/lib/pillion", Some("an emptyDir")),
            ("/var/lib/pillion/kept", None),
            ("/mnt/two words/jobs", None),
            ("/mnt/memory", Some("memory")),
        ] {
            assert_eq!(kind_of(MOUNTINFO, Path::new(folder)), kind, "{folder}");
        }
        assert_eq!(kind_of("", Path::new("/data")), None);
        assert_eq!(kind_of("not what is expected\n1 2 3 - ext4\n", Path::new("/data")), None);
    }
}
