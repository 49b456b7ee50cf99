//! What a handler can check of a call (mutual TLS, signatures), and the hosts that handlers may have.

use std::path::PathBuf;

use pillion_test_support::engines::{Engines, node};
use pillion_test_support::pillion::Setup;
use pillion_test_support::process::Process;
use pillion_test_support::tls::certificate;
use pillion_test_support::{free_port, trials, wait_for_port};
use serde_json::json;

/// The tests.
pub const TESTS: &[super::Test] = trials![handlers_verify_signatures, denied_handler_hosts];

fn handlers_verify_signatures(engines: &Engines) {
    let (cert, key) = certificate();
    let (other_cert, other_key) = certificate();
    let secrets =
        ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"].map(|key| format!("whsec_{key}"));
    let [old, new] = &secrets;
    let port = free_port();
    let mut command = node(&["trusting.mjs"], port);
    for (name, value) in [("CERT", &cert), ("KEY", &key), ("CA", &cert)] {
        command.env(name, value);
    }
    let _handler = Process(command.env("SECRET", new).spawn().expect("node starts"));
    wait_for_port(port);
    let answer = |secrets: &str, (cert, key): (&PathBuf, &PathBuf), authority: &PathBuf| {
        let [cert, key, authority] = [cert, key, authority].map(|path| path.display().to_string());
        let config = format!(
            "handlers: {{ tls_ca_file: '{authority}', tls_cert_file: '{cert}', tls_key_file: '{key}' }}\n\
             actions: {{ count: {{ signing_secrets_from_env: [SECRETS] }} }}\n"
        );
        let setup = Setup::before(engines.postgraphile).with_shop(1).config(&config).env("SECRETS", secrets);
        let pillion = setup.env("HANDLERS", &format!("https://localhost:{port}")).start().wait_until_ready();
        pillion.client().ask("{ count }").json()
    };
    let own = (&cert, &key);
    assert_eq!(answer(new, own, &cert), json!({ "data": { "count": 42 } }));
    // While one secret takes the other's place, both sign.
    assert_eq!(answer(&format!("{old} {new}"), own, &cert), json!({ "data": { "count": 42 } }));
    let rejected = answer(old, own, &cert);
    assert_eq!(rejected["errors"][0]["message"], "No matching signature found");
    let rejected = answer(new, (&other_cert, &other_key), &cert);
    // The handler rejects the certificate during the handshake, or after it: TLS 1.3 lets us speak first.
    let message = rejected["errors"][0]["message"].as_str().unwrap_or_default();
    let possible = ["the handler cannot be reached", "the connection to the handler broke"];
    assert!(possible.contains(&message), "{rejected}");
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text =
        said(&format!("handlers: {{ tls_cert_file: '{}', tls_key_file: '{}' }}\n", cert.display(), cert.display()));
    assert!(text.contains("no key with its certificate"), "{text}");
    let text = said("handlers: { signing_secrets: c4nary }\n");
    assert!(
        text.contains("error: handlers.signing_secrets: this is not a secret that signs") && !text.contains("c4nary"),
        "{text}"
    );
}

fn denied_handler_hosts(_: &Engines) {
    let said = |config: &str| Setup::before(1).with_shop(1).config(config).start_in_vain().1;
    let text = said("handlers: { allowed_hosts: [handlers.example, '*.svc.local:80'] }\n");
    assert!(text.contains("the handler of action 'quote' is at a host that is not allowed"), "{text}");
    let text = said("handlers: { allowed_hosts: ['http://x/'] }\n");
    assert!(text.contains("\"http://x/\" is not a host"), "{text}");
    let text = said("handlers: { allow_private: false }\n");
    assert!(text.contains("the handler of action 'quote' has an address of a private network"), "{text}");
    let text = said("handlers: { rate_limit: [5 per day] }\nactions: { count: { rate_limit: [often] } }\n");
    assert!(
        text.contains("pillion.yaml:1:26: error: handlers.rate_limit: \"5 per day\"") || text.contains("\"5 per day\""),
        "{text}"
    );
    assert!(text.contains("\"often\" is not a limit of calls in a time"), "{text}");
}
