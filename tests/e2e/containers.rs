//! What `config/` has for Kubernetes and for images: the real tools read it, and what it says starts.

use std::collections::BTreeSet;
use std::process::Command;

use pillion_test_support::engines::Engines;
use pillion_test_support::temp::temp_folder;
use pillion_test_support::trials;

use super::harness::manifests::{
    Container, documents, is_restricted, is_well_behaved, kustomize, root, run, sidecar_of, tool, validate,
};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    manifests_are_valid_for_kubernetes,
    containers_of_the_examples_are_restricted,
    the_manifests_start,
    the_manifests_need_a_credential,
    the_image_is_complete,
];

const EXAMPLES: [&str; 2] = ["config/kubernetes/examples/hasura", "config/kubernetes/examples/postgraphile"];

fn manifests_are_valid_for_kubernetes(_: &Engines) {
    let mut all = Vec::new();
    for example in EXAMPLES {
        let text = kustomize(example);
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
        all.push(text);
    }
    validate("kustomize", &all.join("\n---\n"));
}

/// Examples are copied, so the upstream and the database in them are as restricted as Pillion.
fn containers_of_the_examples_are_restricted(_: &Engines) {
    for example in EXAMPLES {
        let documents = documents(&kustomize(example));
        let pods = documents.iter().map(|one| &one["spec"]["template"]["spec"]).filter(|pod| pod.is_object());
        let mut names = BTreeSet::new();
        for pod in pods {
            for container in pod["containers"].as_array().into_iter().flatten() {
                is_restricted(pod, container);
                names.insert(container["name"].as_str().unwrap_or_default().to_owned());
                let variables = container["env"].as_array().into_iter().flatten();
                let folder = variables.filter(|one| one["name"] == "PGDATA").find_map(|one| one["value"].as_str());
                let mounts = container["volumeMounts"].as_array().into_iter().flatten();
                let is_below = |path: &str| folder.is_some_and(|folder| folder.starts_with(&format!("{path}/")));
                let is_in_a_volume = mounts.filter_map(|mount| mount["mountPath"].as_str()).any(is_below);
                assert!(container["name"] != "postgres" || is_in_a_volume, "{folder:?}");
            }
        }
        assert_eq!(names.len(), 2, "an upstream and a database: {names:?}");
    }
}

/// The ConfigMaps as files, the container's environment and folder, and its user without any rights.
fn the_manifests_start(engines: &Engines) {
    let documents = documents(&kustomize(EXAMPLES[1]));
    let (_, sidecar) = sidecar_of(&documents, "initContainers");
    let upstream = format!("http://127.0.0.1:{}", engines.postgraphile);
    let secret = [("PILLION_UPSTREAM", upstream), ("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret".to_owned())];
    let container = Container::start(&documents, &sidecar, &secret);
    container.wait_for_probes(&sidecar);
    // The image's own check finds it as well.
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let output = container.exec(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let unreachable = container.exec(&["health", "--admin-listen=127.0.0.1:1"]);
    let said = String::from_utf8_lossy(&unreachable.stderr);
    assert!(!unreachable.status.success());
    assert!(said.contains("http://127.0.0.1:1/healthz (admin_listen): Connection refused"), "{said}");
    assert!(container.data().join("pillion-jobs.db").is_file(), "the store is where it can be written");
}

/// Without a credential in the Secret nothing is served: open access has to be asked for.
fn the_manifests_need_a_credential(engines: &Engines) {
    let documents = documents(&kustomize(EXAMPLES[1]));
    let (_, sidecar) = sidecar_of(&documents, "initContainers");
    let upstream = format!("http://127.0.0.1:{}", engines.postgraphile);
    let container = Container::start(&documents, &sidecar, &[("PILLION_UPSTREAM", upstream.clone())]);
    let output = container.exec(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("PILLION_AUTH_OPEN: there is no credential"), "{said}");
    drop(container);
    let open = [("PILLION_UPSTREAM", upstream), ("PILLION_AUTH_OPEN", "true".to_owned())];
    let container = Container::start(&documents, &sidecar, &open);
    container.wait_for_probes(&sidecar);
}

/// The program runs where nothing is but what the image holds.
fn the_image_is_complete(_: &Engines) {
    run(tool("hadolint"), &["Dockerfile"]);
    let folder = temp_folder().join("image");
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
