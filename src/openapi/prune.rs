//! Leaves out what depends on a type that cannot be: a field of an object or an optional field of an input object alone, a
//! required field with its whole type. Types that contain themselves by required fields cannot be written, so they go too.

use std::collections::{HashMap, VecDeque};

use crate::model::types::TypeRef;
use crate::openapi::problem::Problem;
use crate::openapi::types::{Definition, MadeType, Types};

/// Leaves out all that cannot be.
pub(crate) fn prune(types: &mut Types) {
    let users = users(types);
    let failed = types.iter().filter(|(_, made)| made.definition.is_err()).map(|(name, _)| name.clone());
    spread(types, &users, failed.collect());
    let endless = endless(types, &users);
    for name in &endless {
        if let Some(made) = types.get_mut(name) {
            let reason = format!("the input type {name} contains itself by required fields, so no value of it ends");
            made.definition =
                Err(Problem { place: made.place.clone(), reason, help: "make one of the fields optional" });
        }
    }
    spread(types, &users, endless.into());
}

/// Which types have a field of a type.
type Users = HashMap<String, Vec<String>>;

fn users(types: &Types) -> Users {
    let mut users = Users::new();
    for (name, made) in types {
        for member in made.members() {
            users.entry(member.ty.named().to_owned()).or_default().push(name.clone());
        }
    }
    users
}

/// Takes the failed types out of those that use them.
fn spread(types: &mut Types, users: &Users, mut failed: VecDeque<String>) {
    while let Some(name) = failed.pop_front() {
        let Some(Err(problem)) = types.get(&name).map(|made| made.definition.clone()) else { continue };
        for user in users.get(&name).into_iter().flatten() {
            let Some(made) = types.get_mut(user).filter(|made| made.definition.is_ok()) else { continue };
            if let Some(reason) = take_out(made, &name, &problem) {
                made.definition = Err(reason);
                failed.push_back(user.clone());
            }
        }
    }
}

/// Takes the fields of a type that cannot be out of another one. Gives the reason if that cannot be either.
fn take_out(made: &mut MadeType, name: &str, problem: &Problem) -> Option<Problem> {
    let (members, is_input) = match &mut made.definition {
        Ok(Definition::Object(members)) => (members, false),
        Ok(Definition::Input(members)) => (members, true),
        _ => return None,
    };
    let uses = |ty: &TypeRef| ty.named() == name;
    if let Some(required) = members.iter().find(|member| is_input && uses(&member.ty) && !member.ty.is_nullable()) {
        return Some(problem.within(&format!("its field \"{}\"", required.api_name)));
    }
    for member in members.extract_if(.., |member| uses(&member.ty)) {
        made.dropped.push((member.api_name, problem.clone()));
    }
    members.is_empty().then(|| problem.within("all of its fields"))
}

/// Input objects of which every value would contain another one of them. A type is fine when all its required fields are.
fn endless(types: &Types, users: &Users) -> Vec<String> {
    let required = |made: &MadeType| {
        let inner = made.members().iter().filter_map(|member| match &member.ty {
            TypeRef::NonNull(inner) => match inner.as_ref() {
                TypeRef::Named(name) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        });
        inner.filter(|name| is_input(types, name)).collect::<Vec<String>>()
    };
    let mut waiting: HashMap<&str, Vec<String>> = types
        .iter()
        .filter(|(name, _)| is_input(types, name))
        .map(|(name, made)| (name.as_str(), required(made)))
        .collect();
    let mut fine: VecDeque<String> =
        waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| (*name).to_owned()).collect();
    while let Some(name) = fine.pop_front() {
        waiting.remove(name.as_str());
        for user in users.get(&name).into_iter().flatten() {
            let Some(needs) = waiting.get_mut(user.as_str()).filter(|needs| !needs.is_empty()) else { continue };
            needs.retain(|need| *need != name);
            if needs.is_empty() {
                fine.push_back(user.clone());
            }
        }
    }
    types.keys().filter(|name| waiting.contains_key(name.as_str())).cloned().collect()
}

fn is_input(types: &Types, name: &str) -> bool {
    matches!(types.get(name).map(|made| &made.definition), Some(Ok(Definition::Input(_))))
}
