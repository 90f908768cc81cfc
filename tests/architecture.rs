//! The dependency rules, as a test: `providers <- actors <- src`, and nothing points back.
//!
//! Cargo forbids cycles between crates. What it cannot see is told here: which outside crates a
//! layer may not know, and which modules may not know each other.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What each crate must never depend on, whatever the kind of dependency.
const FORBIDDEN_CRATES: [(&str, &[&str]); 3] = [
    (
        "providers",
        &["babysea", "actors", "actix", "actix-rt", "actix-web", "sqlx", "askama", "clap"],
    ),
    ("actors", &["babysea", "actix-web", "sqlx", "reqwest", "askama", "clap"]),
    // It serves HTTP, and knows of us no more than a provider would.
    ("emulator", &["babysea", "actors", "actix", "sqlx", "askama", "clap"]),
];

/// The files of `actors` that decide when. All others but `ports` are the domain; a new actor
/// has to be named here before it may import actix.
const ACTORS: [&str; 7] = [
    "generation_actor",
    "endpoint_actor",
    "supervisor",
    "endpoint_supervisor",
    "engine",
    "janitor",
    "system",
];

/// What is not an actor and speaks of ports: themselves, what hands them to the actors, and what
/// the writer tells of changes.
const PORTS: [&str; 3] = ["ports", "env", "watchers"];

/// The ways into the program, each of which must do without the others.
const ENTRANCES: [&str; 3] = ["http", "dashboard", "cli"];

/// Past this many lines, tests not counted, ask why.
const LINES: usize = 400;

#[test]
fn layers_do_not_know_what_is_outside_of_them() {
    let output = Command::new(env!("CARGO"))
        // Only our own crates, so that nothing is fetched and the answer does not depend on it.
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let broken = forbidden_dependencies(&metadata);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn forbidden_dependencies(metadata: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, forbidden) in FORBIDDEN_CRATES {
        let package = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|package| package["name"] == name)
            .unwrap_or_else(|| panic!("there is no crate `{name}`"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            if forbidden.contains(&dependency) {
                broken.push(format!("`{name}` must not depend on `{dependency}`"));
            }
        }
    }
    broken
}

#[test]
fn the_domain_knows_neither_actors_nor_ports() {
    let mut broken = Vec::new();
    for (module, path, text) in sources("actors/src") {
        // The fakes of the tests stand in for everything.
        if module == "fakes" {
            continue;
        }
        let named = names_after(&text, "crate::");
        let actix = !names_after(&text, "actix::").is_empty()
            || !names_after(&text, "actix_rt::").is_empty();
        let is_actor = ACTORS.contains(&module.as_str());
        if actix && !is_actor {
            broken.push(format!("{path}: only actors import actix"));
        }
        for name in named {
            if !is_actor && ACTORS.contains(&name.as_str()) {
                broken.push(format!("{path}: only actors import the actor `{name}`"));
            }
            if !is_actor && !PORTS.contains(&module.as_str()) && name == "ports" {
                broken.push(format!("{path}: the domain must not import `ports`"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_ways_in_do_not_know_each_other_and_the_store_knows_none() {
    let mut broken = Vec::new();
    for (module, path, text) in sources("src") {
        if module != "store" && !ENTRANCES.contains(&module.as_str()) {
            continue;
        }
        for name in names_after(&text, "crate::") {
            if name != module && ENTRANCES.contains(&name.as_str()) {
                broken.push(format!("{path}: `{module}` must not import `{name}`"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Prints and does not fail: some nouns are large.
#[test]
fn long_files_are_pointed_out() {
    // Written past the capture of the test harness, which would hide it from a passing run.
    let mut out = std::io::stderr();
    for folder in ["providers", "actors/src", "src"] {
        for (_, path, text) in sources(folder) {
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            if lines > LINES && !path.ends_with("tests.rs") {
                writeln!(out, "{path}: {lines} lines; is it still one noun?").unwrap();
            }
        }
    }
}

#[test]
fn the_reader_of_imports_sees_all_of_them() {
    let text = "
        use crate::{generation::{Generation, State}, ports, system::spawn};
        use crate::ledger::Reservation;
        // crate::comment
        pub(crate) fn f(at: crate::money::Credits) {}
        use actix::prelude::*;
    ";
    let names = Vec::from_iter(names_after(text, "crate::"));
    assert_eq!(names, ["generation", "ledger", "money", "ports", "system"]);
    assert_eq!(names_after(text, "actix::").len(), 1);
    assert!(names_after(text, "actix_rt::").is_empty());
}

#[test]
fn a_forbidden_dependency_is_named() {
    let metadata = serde_json::json!({ "packages": [
        { "name": "providers", "dependencies": [{ "name": "url" }] },
        { "name": "actors", "dependencies": [{ "name": "actix" }, { "name": "sqlx" }] },
        { "name": "emulator", "dependencies": [{ "name": "actix-web" }] },
    ]});
    assert_eq!(forbidden_dependencies(&metadata), ["`actors` must not depend on `sqlx`"]);
}

/// Every source file below a folder: its top-level module, its path and its text.
fn sources(folder: &str) -> Vec<(String, String, String)> {
    let start = Path::new(ROOT).join(folder);
    let mut files = Vec::new();
    let mut folders = vec![start.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder} has no sources");
    let describe = |path: PathBuf| {
        let first = path.strip_prefix(&start).unwrap().components().next().unwrap();
        let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let shown = path.strip_prefix(ROOT).unwrap().display().to_string();
        (module, shown, std::fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(describe).collect()
}

/// The first names that follow a path's start, in imports and in the middle of code, grouped in
/// braces or not.
fn names_after(text: &str, start: &str) -> BTreeSet<String> {
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(start) {
        // `my_actix::` is another name.
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.extend(first_name(rest)),
        }
    }
    names
}

/// The names at the outermost level of a group whose brace is already open.
fn group_names(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut item = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(first_name(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.extend(first_name(&item));
    names
}

fn first_name(path: &str) -> Option<String> {
    let name: String =
        path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}
