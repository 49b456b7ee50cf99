//! The packages that `packaging/` makes of a built program: the Debian package is installed, upgraded, removed and purged, the
//! tarball and the archive of the chart are unpacked and used.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use pillion_test_support::engines::Engines;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::training::train;
use pillion_test_support::trials;
use serde_json::Value;

use super::harness::manifests::{output, run, tool};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    the_debian_package_can_be_installed_and_purged,
    the_systemd_unit_is_valid_and_hardened,
    the_tarball_is_what_cargo_binstall_unpacks,
    the_chart_archive_is_rendered,
    checksums_cover_all_packages,
    the_sbom_lists_dependencies,
    the_image_has_labels,
    the_program_can_be_trained,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All packages of the program under test, made once.
fn packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        // Debug information is most of this program, and is in no release.
        let program = folder.join("pillion");
        run("strip", &["-o", shown(&program).as_str(), env!("CARGO_BIN_EXE_pillion")]);
        let made = folder.join("made");
        let output = Command::new(root().join("packaging/build.sh"))
            .args([&program, &made])
            .current_dir("/")
            .env("DEB_COMPRESSION", "none")
            .output()
            .expect("bash");
        assert!(output.status.success(), "{}", said(&output));
        std::fs::remove_file(program).expect("a file");
        made
    })
}

fn scratch(name: &str) -> PathBuf {
    let folder = temp_folder().join(format!("packages-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The only package whose name ends so.
fn package(end: &str) -> PathBuf {
    let entries = std::fs::read_dir(packages()).expect("a folder");
    let mut found = entries.map(|entry| entry.expect("an entry").path()).filter(|path| shown(path).ends_with(end));
    let package = found.next().unwrap_or_else(|| panic!("no package ends with {end}"));
    assert_eq!(found.next(), None, "{end}");
    package
}

/// The target that the tarball is for, by its name.
fn target() -> String {
    let tarball = package(".tar.gz");
    let name = tarball.file_name().and_then(|name| name.to_str()).expect("a name");
    let target = name.strip_prefix(&format!("pillion-{VERSION}-")).and_then(|rest| rest.strip_suffix(".tar.gz"));
    target.unwrap_or_else(|| panic!("{name}")).to_owned()
}

/// A system with nothing on it but dpkg's own files.
struct System(PathBuf);

impl System {
    fn new(name: &str) -> Self {
        let folder = scratch(name);
        for part in ["info", "updates", "triggers"] {
            std::fs::create_dir_all(folder.join("var/lib/dpkg").join(part)).expect("a folder");
        }
        std::fs::write(folder.join("var/lib/dpkg/status"), "").expect("a file");
        Self(folder)
    }

    fn dpkg(&self, arguments: &[&str]) -> Output {
        let root = format!("--root={}", self.0.display());
        // There are no libraries here, and no shell for scripts: these run outside, and know by DPKG_ROOT that they do.
        let forced = ["--force-not-root", "--force-script-chrootless", "--force-depends"];
        let log = format!("--log={}", self.path("dpkg.log").display());
        output("dpkg", &[&[root.as_str(), log.as_str()], forced.as_slice(), arguments].concat())
    }

    fn change(&self, arguments: &[&str]) {
        let output = self.dpkg(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn the_debian_package_can_be_installed_and_purged(_: &Engines) {
    let deb = shown(&package(".deb"));
    let control = said(&output("dpkg-deb", &["--field", &deb]));
    for line in ["Package: pillion\n", &format!("Version: {VERSION}\n"), "Depends: libc6", "ca-certificates\n"] {
        assert!(control.contains(line), "{line}: {control}");
    }
    let system = System::new("debian");
    system.change(&["--install", &deb]);
    let program = shown(&system.path("usr/bin/pillion"));
    assert_eq!(said(&output(program.clone(), &["version"])), format!("pillion {VERSION}\n"));
    for (file, beginning) in [
        ("usr/share/man/man1/pillion.1.gz", ".ie"),
        ("usr/share/man/man1/pillion-doctor.1.gz", ".ie"),
        ("usr/share/doc/pillion/changelog.gz", "# Changelog"),
        ("usr/share/doc/pillion/changelog.Debian.gz", &format!("pillion ({VERSION}) ")),
    ] {
        let text = said(&output("zcat", &[&shown(&system.path(file))]));
        assert!(text.starts_with(beginning), "{file}: {}", text.lines().next().unwrap_or_default());
    }
    let completions = system.path("usr/share/bash-completion/completions/pillion");
    run("bash", &["-n", &shown(&completions)]);
    // What is installed makes a service that starts: it lacks an upstream only.
    let (config, metadata) = (system.path("etc/pillion/pillion.yaml"), system.path("etc/pillion/metadata"));
    let arguments = ["check", "--offline", "--strict", "--config", &shown(&config), "--metadata", &shown(&metadata)];
    let checked = output(program.clone(), &arguments);
    assert!(checked.status.success(), "{}", said(&checked));
    let text = std::fs::read_to_string(&config).expect("a file");
    assert!(text.contains("\nlisten: 127.0.0.1:8000\n"), "nothing but this machine until its owner says so: {text}");
    assert_eq!(said(&system.dpkg(&["--verify", "pillion"])), "");

    // The administrator's file survives an upgrade and a removal, and nothing survives a purge.
    std::fs::write(&config, "listen: 127.0.0.1:9000\n").expect("a file");
    system.change(&["--install", &deb]);
    let own = || std::fs::read_to_string(&config).unwrap_or_default();
    assert_eq!(own(), "listen: 127.0.0.1:9000\n");
    assert!(said(&system.dpkg(&["--verify", "pillion"])).contains("c /etc/pillion/pillion.yaml"));
    let state = system.path("var/lib/private/pillion/pillion-jobs.db");
    std::fs::create_dir_all(state.parent().expect("a folder")).expect("a folder");
    std::fs::write(&state, "").expect("a file");
    system.change(&["--remove", "pillion"]);
    assert!(!Path::new(&program).exists() && state.exists());
    assert_eq!(own(), "listen: 127.0.0.1:9000\n");
    system.change(&["--purge", "pillion"]);
    assert!(!config.exists() && !state.exists());
}

fn the_systemd_unit_is_valid_and_hardened(_: &Engines) {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: no systemd-analyze");
        return;
    }
    let system = System::new("unit");
    run("dpkg-deb", &["--extract", &shown(&package(".deb")), &shown(&system.0)]);
    let unit = "usr/lib/systemd/system/pillion.service";
    let text = std::fs::read_to_string(system.path(unit)).expect("a unit");
    // A type that the program does not support would keep the service from starting.
    assert!(text.contains("\nType=exec\n") && text.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"), "{text}");
    // Programs are looked for where the package puts them.
    let here = text.replace("=/usr/bin/pillion", &format!("={}", system.path("usr/bin/pillion").display()));
    std::fs::write(system.path("pillion.service"), here).expect("a file");
    let verified = output("systemd-analyze", &["--man=no", "verify", &shown(&system.path("pillion.service"))]);
    assert!(verified.status.success() && !said(&verified).contains("pillion.service:"), "{}", said(&verified));
    // 0.0 is all that systemd can take away from a service, 10.0 is nothing; most services have more than 9.
    let rated = ["security", "--offline=true", "--threshold=20", &shown(&system.path("pillion.service"))];
    let rated = output("systemd-analyze", &rated);
    assert!(rated.status.success(), "{}", said(&rated));
}

fn the_tarball_is_what_cargo_binstall_unpacks(_: &Engines) {
    let (tarball, target) = (package(".tar.gz"), target());
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a file");
    let (_, metadata) = manifest.split_once("[package.metadata.binstall]\n").expect("metadata");
    let setting = |key: &str| {
        let line = metadata.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).expect("a setting");
        let values = [
            ("{ name }", "pillion"),
            ("{ bin }", "pillion"),
            ("{ version }", VERSION),
            ("{ target }", target.as_str()),
        ];
        let filled = values.iter().fold(line.to_owned(), |text, (variable, value)| text.replace(variable, value));
        filled.replace("{ binary-ext }", "").trim_end_matches('"').to_owned()
    };
    assert_eq!(setting("pkg-fmt"), "tgz");
    let system = System::new("tarball");
    run("tar", &["--extract", "--file", &shown(&tarball), "--directory", &shown(&system.0)]);
    let program = system.path(&setting("bin-dir"));
    assert_eq!(said(&output(program.clone(), &["version"])), format!("pillion {VERSION}\n"));
    let folder = program.parent().expect("a folder");
    for file in ["LICENSE", "README.md", "man/pillion.1", "completions/_pillion", "config/pillion.schema.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

fn the_chart_archive_is_rendered(_: &Engines) {
    let archive = shown(&package(&format!("pillion-{VERSION}.tgz")));
    let chart = said(&output(tool("helm"), &["show", "chart", &archive]));
    assert!(chart.contains(&format!("appVersion: {VERSION}\n")) && chart.contains("name: pillion\n"), "{chart}");
    let values = "upstream.url=http://upstream:8080,image.repository=registry.example/pillion,existingSecret=secrets";
    let rendered = said(&output(tool("helm"), &["template", "shop", &archive, "--set", values]));
    assert!(rendered.contains("kind: Deployment") && rendered.contains("registry.example/pillion"), "{rendered}");
}

fn checksums_cover_all_packages(_: &Engines) {
    let sums = std::fs::read_to_string(packages().join("SHA256SUMS")).expect("a file");
    let mut named: Vec<&str> = sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
    let entries = std::fs::read_dir(packages()).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut there: Vec<String> = names.filter(|name| name != "SHA256SUMS").collect();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
    assert!(named.len() >= 3, "{named:?}");
    let mut checked = Command::new("sha256sum");
    let checked = checked.args(["--check", "--strict", "SHA256SUMS"]).current_dir(packages()).output();
    assert!(checked.is_ok_and(|output| output.status.success()), "{sums}");
}

/// Where cargo-cyclonedx is, which `make packages` installs.
fn the_sbom_lists_dependencies(_: &Engines) {
    let sbom = packages().join(format!("pillion-{VERSION}-{}.cdx.json", target()));
    if !sbom.exists() {
        eprintln!("skipped: no cargo-cyclonedx");
        return;
    }
    let text = std::fs::read_to_string(sbom).expect("a file");
    assert!(!text.contains(&shown(root())), "a path of this machine");
    let sbom: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let names: Vec<&str> =
        sbom["components"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    // What the program is made of, and nothing of its tests.
    assert!(names.contains(&"pingora") && names.contains(&"clap") && !names.contains(&"proptest"), "{names:?}");
}

/// <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
fn the_image_has_labels(_: &Engines) {
    let text = std::fs::read_to_string(root().join("Dockerfile")).expect("a file");
    let (_, image) = text.split_once("\nFROM scratch\n").expect("the last stage");
    for label in ["title", "description", "licenses", "source", "documentation", "version", "revision", "created"] {
        let line = image.lines().find_map(|line| line.split_once(&format!("org.opencontainers.image.{label}=\"")));
        let (_, value) = line.unwrap_or_else(|| panic!("no label {label}"));
        if let Some(argument) = value.strip_prefix("${").and_then(|value| value.split('}').next()) {
            assert!(image.contains(&format!("\nARG {argument}=")), "{argument}");
        }
    }
    let version = format!("\nARG VERSION={VERSION}\n");
    assert!(format!("\n{image}").contains(&version), "the version of Cargo.toml is the image's default");
}

/// `packaging/profile.sh` does the same with many more, which is far too slow here.
fn the_program_can_be_trained(_: &Engines) {
    train(160);
}
