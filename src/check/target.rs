//! What `pillion check` has looked at beside the configuration: each thing with its result, as text and as JSON.

use serde_json::{Value, json};

use crate::check::probe::{Failure, Step};

/// Something outside of the configuration.
#[derive(Debug)]
pub(crate) struct Target {
    /// What it is: upstream, handler, JWKS.
    pub kind: &'static str,
    /// Where it is, or which actions are meant if that is not known.
    pub name: String,
    /// What came of it.
    pub result: TargetResult,
}

/// What came of a look.
#[derive(Debug)]
pub(crate) enum TargetResult {
    /// All of these steps went well.
    Passed(Vec<Step>),
    /// This one did not.
    Failed(Failure),
    /// This one did not, so that what is behind it could not be looked at.
    Unreached(Failure),
    /// It could not be looked at, and why.
    NotChecked(String),
    /// No flag asked for it, or one asked not to; which.
    NotAsked(&'static str),
}

impl Target {
    pub(crate) fn new(kind: &'static str, name: impl Into<String>, result: Result<Vec<Step>, Failure>) -> Self {
        Self { kind, name: name.into(), result: result.map_or_else(TargetResult::Failed, TargetResult::Passed) }
    }

    pub(crate) fn not_checked(kind: &'static str, name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, name: name.into(), result: TargetResult::NotChecked(reason.into()) }
    }

    pub(crate) fn unreached(kind: &'static str, name: impl Into<String>, failure: Failure) -> Self {
        Self { kind, name: name.into(), result: TargetResult::Unreached(failure) }
    }

    pub(crate) fn not_asked(kind: &'static str, name: impl Into<String>, reason: &'static str) -> Self {
        Self { kind, name: name.into(), result: TargetResult::NotAsked(reason) }
    }

    /// Was a look wanted that did not take place?
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.result, TargetResult::NotChecked(_) | TargetResult::Unreached(_))
    }

    /// In one line, for a person.
    pub(crate) fn line(&self) -> String {
        let Self { kind, name, result } = self;
        let gap = if name.is_empty() { "" } else { " " };
        match result {
            TargetResult::Passed(steps) => format!("{kind}{gap}{name}: ok ({})", listed(steps)),
            TargetResult::Failed(failure) => format!("{kind}{gap}{name}: {failure}"),
            TargetResult::Unreached(failure) => format!("{kind} not checked: {name}{}{failure}", colon(name)),
            TargetResult::NotChecked(reason) => format!("{kind} not checked: {name}{}{reason}", colon(name)),
            TargetResult::NotAsked(reason) => format!("{kind} not looked at: {name}{}{reason}", colon(name)),
        }
    }

    /// For pipelines.
    pub(crate) fn json(&self) -> Value {
        let Self { kind, name, result } = self;
        let mut json = json!({ "kind": kind, "name": name });
        let more = match result {
            TargetResult::Passed(steps) => {
                let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
                json!({ "result": "passed", "steps": steps })
            }
            TargetResult::Failed(Failure { step, address, reason }) => {
                json!({ "result": "failed", "step": step.to_string(), "address": address, "reason": reason })
            }
            TargetResult::Unreached(failure) => {
                json!({ "result": "not_checked", "reason": failure.to_string() })
            }
            TargetResult::NotChecked(reason) => json!({ "result": "not_checked", "reason": reason }),
            TargetResult::NotAsked(reason) => json!({ "result": "not_asked", "reason": reason }),
        };
        if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
            json.extend(more);
        }
        json
    }
}

fn colon(name: &str) -> &'static str {
    if name.is_empty() { "" } else { ": " }
}

fn listed(steps: &[Step]) -> String {
    let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
    steps.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json() {
        let passed = Target::new("handler", "shop:80", Ok(vec![Step::Dns, Step::Tcp]));
        assert_eq!(passed.line(), "handler shop:80: ok (DNS, TCP)");
        let failure = Failure { step: Step::Tls, address: "shop:443".into(), reason: "UnknownIssuer".into() };
        let failed = Target::new("handler", "shop:443", Err(failure));
        assert_eq!(failed.line(), "handler shop:443: TLS: shop:443: UnknownIssuer");
        let json = json!({ "kind": "handler", "name": "shop:443", "result": "failed", "step": "TLS",
            "address": "shop:443", "reason": "UnknownIssuer" });
        assert_eq!(failed.json(), json);
        let missing = Target::not_checked("upstream", "http://shop", "no response");
        assert_eq!(
            (missing.line().as_str(), missing.is_missing()),
            ("upstream not checked: http://shop: no response", true)
        );
        let left = Target::not_asked("Redis", "", "give --all");
        assert_eq!((left.line().as_str(), left.is_missing()), ("Redis not looked at: give --all", false));
    }
}
