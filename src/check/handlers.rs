//! `check --handlers`: can the handler of each action be reached? No action is called.

use std::collections::BTreeMap;
use std::net::IpAddr;

use url::Url;

use crate::check::probe::{HostPort, ProbeOptions, Step, ask_options, connect};
use crate::check::target::{Target, TargetResult};
use crate::config::settings::Handlers;
use crate::kriti::prefix::constant_prefix;
use crate::model::action::{Action, ActionSchema};
use crate::model::address::{is_link_local_or_metadata, is_private};
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;

/// What `check` calls them.
pub(crate) const KIND: &str = "handler";

/// One probe for each host and port, and an error for each action whose handler cannot be reached.
pub(crate) async fn probe_handlers(services: &Services) -> (Vec<Target>, Vec<Diagnostic>) {
    let snapshot = services.snapshot.load_full();
    let schema = &snapshot.catalog.schema;
    let mut by_address: BTreeMap<(HostPort, bool), (Url, Vec<&Action>)> = BTreeMap::new();
    let mut targets = Vec::new();
    for action in schema.actions.values().filter(|action| action.responds_with().is_none()) {
        match origin_of(action) {
            Some((url, address)) => {
                let is_tls = url.scheme() == "https";
                by_address.entry((address, is_tls)).or_insert_with(|| (url, Vec::new())).1.push(action);
            }
            None => targets.push(Target::not_checked(
                KIND,
                format!("action '{}'", action.name),
                format!("the request decides about the host of {}", action.shown_url()),
            )),
        }
    }
    let mut found = Vec::new();
    for ((address, _), (url, actions)) in by_address {
        let target = probe_one(services, &address, &url).await;
        if let TargetResult::Failed(failure) = &target.result {
            found.extend(actions.iter().map(|action| unreachable(schema, action, &failure.to_string())));
        }
        targets.push(target);
    }
    (targets, found)
}

fn unreachable(schema: &ActionSchema, action: &Action, failure: &str) -> Diagnostic {
    let message =
        format!("the handler of action '{}', {}, cannot be reached: {failure}", action.name, action.shown_url());
    let place = schema.locations.actions.get(&action.field).cloned();
    Diagnostic::error(place, message, "start it, or correct its address")
}

async fn probe_one(services: &Services, address: &HostPort, url: &Url) -> Target {
    let configured = services.configured();
    let settings = &configured.settings.handlers;
    let client = &configured.handlers.here().general;
    let allows = |address: IpAddr| allows(settings, address);
    let options = ProbeOptions { timeout: settings.connect_timeout, allows: &allows };
    let mut steps = Vec::new();
    // A proxy resolves and connects in our place.
    if !settings.use_environment_proxy {
        if let Err(failure) = connect(address, options).await {
            return Target::new(KIND, address.to_string(), Err(failure));
        }
        steps.extend([Step::Dns, Step::Tcp]);
    }
    if url.scheme() == "https" {
        steps.push(Step::Tls);
    }
    steps.push(Step::Http);
    let result = ask_options(client, url, settings.connect_timeout).await;
    Target::new(KIND, address.to_string(), result.map(|_| steps))
}

fn allows(settings: &Handlers, address: IpAddr) -> bool {
    (settings.allow_link_local || !is_link_local_or_metadata(address))
        && (settings.allow_private || !is_private(address))
}

/// Where its requests go: that of a transform, if there is one and no request decides about it.
fn origin_of(action: &Action) -> Option<(Url, HostPort)> {
    let template = action.request_transform.as_ref().and_then(|transform| transform.url.as_ref());
    let url = match template {
        None => action.handler.url.clone(),
        Some(template) => {
            let base_url = |name: &str| (name == "$base_url").then(|| action.handler.base_url.expose().to_owned());
            constant_prefix(template, &base_url).origin()?.parse().ok()?
        }
    };
    let address = HostPort::of(&url)?;
    Some((url, address))
}
