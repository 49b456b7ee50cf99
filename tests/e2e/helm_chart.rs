//! The Helm chart: what it renders is valid and starts, and what would lose jobs, let everybody in or is misspelt is not rendered.

use std::collections::BTreeSet;
use std::process::Command;

use pillion_test_support::client::Client;
use pillion_test_support::engines::Engines;
use pillion_test_support::scripted::{Reply, Scripted};
use pillion_test_support::temp::temp_folder;
use pillion_test_support::{trials, yaml};
use serde_json::{Value, json};

use super::harness::manifests::{
    Container, documents, is_well_behaved, object, output, root, run, sidecar_of, tool, validate,
};

/// The tests.
pub const TESTS: &[super::Test] = trials![
    rendered_manifests_are_valid_for_kubernetes,
    misspelt_values_are_rejected,
    values_that_lose_jobs_or_open_access_are_rejected,
    names_can_be_overridden,
    monitoring_objects,
    pod_settings_are_rendered,
    the_chart_starts,
    the_helm_test_sends_a_query,
    the_sample_of_the_readme_is_rendered,
];

const CHART: &str = "config/kubernetes/chart";
const MINIMAL: &str =
    "upstream.url=http://upstream:8080,image.repository=registry.example/pillion,existingSecret=secrets";

/// The manifests with these `--set` values, or why they are not rendered.
fn rendered(values: &[&str]) -> Result<String, String> {
    let sets = values.iter().flat_map(|values| ["--set", values]);
    let arguments: Vec<&str> = ["template", "shop", CHART].into_iter().chain(sets).collect();
    let output = output(tool("helm"), &arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn rendered_with(values: &str) -> Vec<Value> {
    documents(&rendered(&[MINIMAL, values]).unwrap_or_else(|error| panic!("{values}: {error}")))
}

const MONITORED: &str =
    "monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true";

fn rendered_manifests_are_valid_for_kubernetes(_: &Engines) {
    run(tool("helm"), &["lint", "--strict", CHART, "--set", MINIMAL]);
    let mut all = Vec::new();
    for (values, place) in [
        ("replicas=1", "containers"),
        ("persistence.enabled=true,persistence.storageClass=fast", "containers"),
        ("persistence.enabled=true,persistence.existingClaim=jobs", "containers"),
        ("jobs.store=postgres,jobs.postgres.secretName=database,autoscaling.enabled=true", "containers"),
        (
            "upstream.containers[0].name=upstream,upstream.containers[0].image=hasura/graphql-engine:v2.45.1",
            "initContainers",
        ),
        (MONITORED, "containers"),
        ("monitoring.serviceMonitor.enabled=true,jobs.store=none,replicas=3", "containers"),
    ] {
        let text = rendered(&[MINIMAL, values]).unwrap_or_else(|error| panic!("{values}: {error}"));
        let documents = documents(&text);
        let (pod, container) = sidecar_of(&documents, place);
        let is_sidecar = place == "initContainers";
        assert_eq!(container["restartPolicy"], if is_sidecar { json!("Always") } else { Value::Null });
        is_well_behaved(&pod, &container);
        assert!(object(&documents, "HorizontalPodAutoscaler").is_some() == values.contains("autoscaling"));
        all.push(text);
    }
    validate("helm", &all.join("\n---\n"));
}

/// Typos and values of another type. Each names what is wrong with it.
const MISSPELT: [(&str, &str); 22] = [
    ("replicaCount=5", "replicaCount"),
    ("replicas=three", "replicas"),
    ("networkPolicy.enable=false", "enable"),
    ("ingress.enabled=true", "ingress"),
    ("image.name=pillion", "name"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("upstream.uri=http://upstream", "uri"),
    ("metadata.action=x", "action"),
    ("existingSecrets=secrets", "existingSecrets"),
    ("auth.allowopen=true", "allowopen"),
    ("auth.allowOpen=maybe", "allowOpen"),
    ("jobs.store=redis", "jobs.store"),
    ("jobs.postgres.secret=database", "secret"),
    ("persistance.enabled=true", "persistance"),
    ("persistence.class=fast", "class"),
    ("autoscaling.maxReplica=3", "maxReplica"),
    ("service.port=http", "port"),
    ("podMonitor.enabled=true", "podMonitor"),
    ("monitoring.podMonitor.label.release=x", "label"),
    ("config.upstrem.url=http://x", "upstrem"),
    ("config.limits.max_depths=4", "max_depths"),
    ("config.handlers.circuit_breaker.enabled=perhaps", "enabled"),
];

fn misspelt_values_are_rejected(_: &Engines) {
    for (values, named) in MISSPELT {
        let said = rendered(&[MINIMAL, values]).expect_err(values);
        assert!(said.contains("don't meet the specifications of the schema"), "{values}: {said}");
        assert!(said.contains(named), "{values}: {said}");
    }
    for right in
        ["config.limits.max_depth=4", "config.metadata_api.store=none", "config.handlers.circuit_breaker.enabled=true"]
    {
        assert_eq!(rendered(&[MINIMAL, right]).err(), None, "{right}");
    }
}

/// Values that are well-formed, and what is wrong with them together; nothing if they are rendered.
const COMBINATIONS: [(&str, &str); 24] = [
    ("replicas=2", "replicas do not share sqlite"),
    ("autoscaling.enabled=true", "replicas do not share sqlite"),
    ("replicas=2,config.jobs.store=sqlite:///var/lib/pillion/a.db", "replicas do not share sqlite"),
    ("replicas=2,jobs.store=postgres", ""),
    ("replicas=2,jobs.store=postgres,existingSecret=,auth.allowOpen=true", "where is the database?"),
    ("replicas=2,jobs.store=postgres,existingSecret=,auth.allowOpen=true,jobs.postgres.secretName=database", ""),
    (
        "jobs.store=postgres,existingSecret=,auth.allowOpen=true,extraEnv[0].name=PILLION_JOBS_STORE,extraEnv[0].value=x",
        "",
    ),
    ("jobs.postgres.secretName=database", "jobs.store is sqlite"),
    ("config.jobs.store=postgres://database/jobs", "config.jobs.store names another store"),
    ("replicas=2,jobs.store=postgres,config.jobs.store=postgres://database/jobs", ""),
    ("jobs.store=none,config.jobs.store=sqlite://a.db", "config.jobs.store names another store"),
    ("replicas=2,jobs.store=none", ""),
    ("replicas=2,jobs.store=none,metadata.actions=kind: asynchronous", "has an asynchronous action"),
    ("persistence.enabled=true", ""),
    ("persistence.enabled=true,replicas=2,jobs.store=postgres", "persistence.enabled: one replica only"),
    ("persistence.enabled=true,autoscaling.enabled=true,jobs.store=postgres", "persistence.enabled: one replica only"),
    ("existingSecret=", "every caller would be admin"),
    ("existingSecret=,extraEnv[0].name=UNRELATED,extraEnv[0].value=x", "every caller would be admin"),
    ("existingSecret=,extraEnv[0].name=HASURA_GRAPHQL_ADMIN_SECRET,extraEnv[0].value=x", ""),
    ("existingSecret=,config.auth.hook=http://auth/hook", ""),
    ("existingSecret=,auth.allowOpen=true", ""),
    ("config.auth.open=true", "set auth.allowOpen instead"),
    ("monitoring.podMonitor.enabled=true,monitoring.serviceMonitor.enabled=true", "scrape every pod twice"),
    ("upstream.url=", "where is the upstream?"),
];

fn values_that_lose_jobs_or_open_access_are_rejected(_: &Engines) {
    for (values, wrong) in COMBINATIONS {
        match rendered(&[MINIMAL, values]) {
            Ok(_) => assert_eq!(wrong, "", "{values} is rendered"),
            Err(said) => assert!(!wrong.is_empty() && said.contains(wrong), "{values}: {said}"),
        }
    }
    let said = rendered(&["upstream.url=http://upstream:8080,existingSecret=secrets"]).expect_err("no image");
    assert!(said.contains("image.repository: which image?"), "{said}");
    let open = |values: &str| {
        let (_, container) = sidecar_of(&rendered_with(values), "containers");
        let variables = container["env"].as_array().cloned().unwrap_or_default();
        variables.into_iter().find(|one| one["name"] == "PILLION_AUTH_OPEN").expect("the variable")["value"].clone()
    };
    assert_eq!((open("replicas=1"), open("existingSecret=,auth.allowOpen=true")), (json!("false"), json!("true")));
}

fn names_can_be_overridden(_: &Engines) {
    let name = |values: &str| {
        rendered_with(values).iter().find(|one| one["kind"] == "Deployment").expect("one")["metadata"]["name"].clone()
    };
    assert_eq!(name("replicas=1"), "shop-pillion");
    assert_eq!(name("nameOverride=shop"), "shop", "the release has the name in its own");
    assert_eq!(name("nameOverride=actions"), "shop-actions");
    assert_eq!(name("fullnameOverride=graphql"), "graphql");
    let long = name(&format!("fullnameOverride={}", "a".repeat(70)));
    assert_eq!(long.as_str().map(str::len), Some(50));
    // Beside another chart with the same release, no two objects of a kind have one name.
    let documents = rendered_with(MONITORED);
    let names: BTreeSet<String> =
        documents.iter().map(|one| format!("{} {}", one["kind"], one["metadata"]["name"])).collect();
    assert_eq!(names.len(), documents.len());
    assert!(names.iter().all(|name| name.contains("shop-pillion")), "{names:?}");
}

fn monitoring_objects(_: &Engines) {
    let labelled =
        format!("{MONITORED},monitoring.podMonitor.labels.release=kps,monitoring.prometheusRule.labels.release=kps");
    let documents = rendered_with(&labelled);
    let monitor = object(&documents, "PodMonitor").expect("a PodMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "kps");
    let workload = object(&documents, "Deployment").expect("a Deployment");
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    assert!(selected.iter().all(|(key, value)| labels[key] == *value), "{labels}");
    let rule = object(&documents, "PrometheusRule").expect("a PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "kps");
    let rules = std::fs::read_to_string(root().join("dashboards/rules.yaml")).expect("a file");
    assert_eq!(rule["spec"], yaml::read(&rules).expect("YAML"));
    let published = format!("{MONITORED},monitoring.prometheusRule.runbookBaseUrl=https://example.com/runbooks/");
    let published = rendered_with(&published);
    let rule = object(&published, "PrometheusRule").expect("a PrometheusRule").to_string();
    assert!(rule.contains("\"runbook_url\":\"https://example.com/runbooks/PillionAbsent.md\""), "{rule}");
    let has_dashboard = |one: &&Value| one["metadata"]["labels"]["grafana_dashboard"] == "1";
    let shown = documents.iter().find(has_dashboard).expect("a dashboard")["data"]["pillion.json"].clone();
    let shown: Value = serde_json::from_str(shown.as_str().expect("text")).expect("JSON");
    assert_eq!(shown["title"], "Pillion");
    let documents =
        rendered_with("monitoring.serviceMonitor.enabled=true,monitoring.serviceMonitor.labels.release=kps");
    let monitor = object(&documents, "ServiceMonitor").expect("a ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"]["release"], "kps");
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    let is_selected = |one: &&Value| {
        one["kind"] == "Service" && selected.iter().all(|(key, value)| one["metadata"]["labels"][key] == *value)
    };
    let service = documents.iter().find(is_selected).expect("a Service for it");
    assert_eq!(
        (&service["spec"]["clusterIP"], &service["spec"]["ports"][0]["name"]),
        (&json!("None"), &json!("pillion-metrics"))
    );
}

fn pod_settings_are_rendered(_: &Engines) {
    let documents = rendered_with(
        "extraVolumes[0].name=tls,extraVolumes[0].secret.secretName=tls,extraVolumeMounts[0].name=tls,\
         extraVolumeMounts[0].mountPath=/etc/pillion/tls,extraEnv[0].name=PILLION_THREADS,extraEnv[0].value=two,\
         extraEnvFrom[0].secretRef.name=tokens,image.pullSecrets[0].name=registry,image.digest=sha256:00,\
         serviceAccount.annotations.role=shop,strategy.type=Recreate,priorityClassName=high,podLabels.team=shop,\
         hostAliases[0].ip=10.0.0.1,hostAliases[0].hostnames[0]=upstream,nodeSelector.disk=ssd,\
         topologySpreadConstraints[0].maxSkew=1,topologySpreadConstraints[0].topologyKey=zone,\
         topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
    );
    let (pod, container) = sidecar_of(&documents, "containers");
    let workload = object(&documents, "Deployment").expect("a Deployment");
    let account = object(&documents, "ServiceAccount").expect("a ServiceAccount");
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let last = |list: &Value| list.as_array().and_then(|list| list.last().cloned()).unwrap_or_default();
    assert_eq!(last(&pod["volumes"])["secret"]["secretName"], "tls");
    assert_eq!(last(&container["volumeMounts"])["mountPath"], "/etc/pillion/tls");
    assert_eq!(last(&container["env"]), json!({ "name": "PILLION_THREADS", "value": "two" }));
    assert_eq!(
        container["envFrom"],
        json!([{ "secretRef": { "name": "secrets" } }, { "secretRef": { "name": "tokens" } }])
    );
    assert_eq!(container["image"], "registry.example/pillion@sha256:00");
    assert_eq!(pod["imagePullSecrets"][0]["name"], "registry");
    assert_eq!(
        (&account["metadata"]["annotations"]["role"], &pod["serviceAccountName"]),
        (&json!("shop"), &account["metadata"]["name"])
    );
    assert_eq!(workload["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(
        (&pod["priorityClassName"], &labels["team"], &pod["nodeSelector"]["disk"]),
        (&json!("high"), &json!("shop"), &json!("ssd"))
    );
    assert_eq!(pod["hostAliases"][0]["hostnames"][0], "upstream");
    let spread = &pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    assert_eq!(spread["app.kubernetes.io/instance"], "shop");
}

/// The container starts with what the chart gives it, and `kubectl exec … pillion jobs list` sees the jobs of the server: the store
/// is named in the configuration file only.
fn the_chart_starts(engines: &Engines) {
    let handlers = Scripted::start();
    handlers.on_path("/later", Reply::json("1"));
    let actions = format!(
        "actions:\n  - name: later\n    definition: {{ kind: asynchronous, handler: 'http://127.0.0.1:{}/later' }}\n",
        handlers.port
    );
    let folder = temp_folder().join("helm");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("actions.yaml"), actions).expect("a file");
    std::fs::write(folder.join("actions.graphql"), "type Mutation { later: Int }\n").expect("a file");
    let text = run(
        tool("helm"),
        &[
            "template",
            "shop",
            CHART,
            "--set",
            MINIMAL,
            "--set",
            "config.jobs.store=sqlite://other.db",
            "--set-file",
            &format!("metadata.actions={}", folder.join("actions.yaml").display()),
            "--set-file",
            &format!("metadata.types={}", folder.join("actions.graphql").display()),
        ],
    );
    std::fs::remove_dir_all(folder).expect("the folder");
    let documents = documents(&text);
    let (_, container) = sidecar_of(&documents, "containers");
    let upstream = format!("http://127.0.0.1:{}", engines.postgraphile);
    let secret = [("PILLION_UPSTREAM", upstream), ("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret".to_owned())];
    let process = Container::start(&documents, &container, &secret);
    process.wait_for_probes(&container);
    let headers = [("Content-Type", "application/json"), ("X-Hasura-Admin-Secret", "s3cret")];
    let response =
        Client::connect(process.port).request("POST", "/graphql", &headers, br#"{"query":"mutation { later }"}"#);
    let response = response.json();
    let id = response["data"]["later"].as_str().unwrap_or_else(|| panic!("{response}"));
    let listed = process.exec(&["jobs", "list"]);
    let said = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && said.contains(id), "{said}{}", String::from_utf8_lossy(&listed.stderr));
    assert!(process.exec(&["health", "--ready"]).status.success());
    let files: Vec<_> =
        std::fs::read_dir(process.data()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(files.contains(&"other.db".into()) && !files.contains(&"pillion-jobs.db".into()), "{files:?}");
}

/// The command of the hook's pod against a real Pillion, with its address instead of the Service's.
fn the_helm_test_sends_a_query(engines: &Engines) {
    let documents = rendered_with("service.port=8080,config.graphql_paths={/graphql}");
    let pod = documents.iter().find(|one| one["kind"] == "Pod").expect("the pod of the hook");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let command: Vec<&str> =
        pod["spec"]["containers"][0]["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (_, container) = sidecar_of(&documents, "containers");
    let upstream = format!("http://127.0.0.1:{}", engines.postgraphile);
    let secret = [("PILLION_UPSTREAM", upstream), ("HASURA_GRAPHQL_ADMIN_SECRET", "s3cret".to_owned())];
    let process = Container::start(&documents, &container, &secret);
    process.wait_for_probes(&container);
    let ask = |address: &str| {
        let arguments = command.iter().skip(1).map(|argument| argument.replace("http://shop-pillion:8080/", address));
        Command::new(command[0]).args(arguments).output().expect("curl")
    };
    let good = ask(&format!("http://127.0.0.1:{}/", process.port));
    assert_eq!(String::from_utf8_lossy(&good.stdout), r#"{"data":{"__typename":"Query"}}"#);
    assert!(good.status.success());
    assert!(!ask(&format!("http://127.0.0.1:{}/nowhere/", process.port)).status.success());
}

/// The values that README.md shows.
fn the_sample_of_the_readme_is_rendered(_: &Engines) {
    let readme = std::fs::read_to_string(root().join(CHART).join("README.md")).expect("a file");
    let sample = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a sample");
    let file = temp_folder().join("values.yaml");
    std::fs::write(&file, sample).expect("a file");
    let text =
        run(tool("helm"), &["template", "shop", CHART, "--set", MINIMAL, "--values", &file.display().to_string()]);
    std::fs::remove_file(file).expect("the file");
    let (pod, container) = sidecar_of(&documents(&text), "containers");
    is_well_behaved(&pod, &container);
    assert!(text.contains("cert_file: /etc/pillion/tls/tls.crt"), "{text}");
}
