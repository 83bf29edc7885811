//! The rules of ARCHITECTURE.md that a machine can keep: who may import what, how long a file may
//! be, where `unsafe` may stand, and that the documents name what is there.
#![expect(clippy::expect_used, reason = "helpers of tests: the tree is there, or the test fails")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The parts of the server that share `flow` and are joined by `app`.
const SIBLINGS: [&str; 7] = ["ingest", "encode", "publish", "origin", "viewers", "rooms", "ops"];

/// Crates that may do I/O: the binding to libsrt, and what only tests use.
const NOT_CORES: [&str; 2] = ["libsrt", "testkit"];

/// Crates that read a clock, a socket, a file or the system's randomness.
const IO: [&str; 14] = [
    "async-std",
    "getrandom",
    "gstreamer",
    "hyper",
    "libc",
    "mio",
    "nix",
    "polling",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

/// The longest a source file may be.
const LINES: usize = 400;

/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

#[test]
fn a_core_depends_on_no_io_and_on_no_other_core_than_media() {
    let mut faults = Vec::new();
    for core in cores() {
        let package = format!("nowcast-{core}");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none"])
            .args(["--format", "{p}", "-p", &package])
            .current_dir(root())
            .output()
            .expect("cargo tree starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout);
        for name in tree.lines().filter_map(|line| line.split(' ').next()) {
            if IO.contains(&name) {
                faults.push(format!(
                    "crates/{core} depends on {name}: move what needs it to src/ and hand the core its result"
                ));
            }
            if name.starts_with("nowcast-") && name != package && name != "nowcast-media" {
                faults.push(format!(
                    "crates/{core} depends on {name}: move what they share to crates/media"
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn siblings_do_not_import_each_other() {
    let mut faults = Vec::new();
    for file in files(&["src"], &["rs"]) {
        let Some(own) = module(&file) else { continue };
        let outer = ["app", "cli"];
        let forbidden: Vec<&str> = match own.as_str() {
            "app" => vec!["cli"],
            "cli" | "lib" | "main" => vec![],
            // The test picture is drawn on the sender's side, with GStreamer as `encode` sets it up.
            "picture" => {
                SIBLINGS.iter().chain(&outer).copied().filter(|name| *name != "encode").collect()
            }
            // A sibling, or what siblings share.
            own => SIBLINGS.iter().chain(&outer).copied().filter(|name| *name != own).collect(),
        };
        let imported = imports(&fs::read_to_string(root().join(&file)).expect("a source file"));
        for name in forbidden.iter().filter(|name| imported.contains(**name)) {
            faults.push(format!(
                "{} imports crate::{name}: put the type both need into src/flow.rs and join them in src/app.rs",
                file.display()
            ));
        }
    }
    report(&faults);
}

#[test]
fn no_source_file_is_too_long_to_read_at_a_sitting() {
    let mut faults = Vec::new();
    for file in files(&["src", "crates", "web", "benches", "examples"], &["rs", "ts", "mjs"]) {
        let test =
            file.iter().any(|part| matches!(part.to_str(), Some("tests" | "test" | "tests.rs")));
        let name = file.to_string_lossy();
        let lines = fs::read_to_string(root().join(&file)).expect("a source file").lines().count();
        let listed = LONGER.iter().any(|(path, _reason)| *path == name);
        if lines > LINES && !test && !listed {
            faults.push(format!(
                "{name} has {lines} lines, {LINES} are allowed: split it by what its parts do, or list it in \
                 LONGER with a reason"
            ));
        }
        if lines <= LINES && listed {
            faults.push(format!("{name} fits by now: take it out of LONGER"));
        }
    }
    report(&faults);
}

#[test]
fn unsafe_stands_in_the_libsrt_binding_alone() {
    let mut faults = Vec::new();
    for file in files(&["src", "crates", "tests", "benches", "examples"], &["rs"]) {
        if file.starts_with("crates/libsrt") {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // In two pieces, or this line would be found as well.
            if words(code).any(|word| word == concat!("un", "safe")) {
                faults.push(format!(
                    "{}:{}: only crates/libsrt may hold such code: take a crate with a safe interface (rustix, bytes)",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn decisions_are_numbered_without_a_gap_and_listed() {
    let mut faults = Vec::new();
    let index = fs::read_to_string(root().join("docs/adr/README.md")).expect("docs/adr/README.md");
    let names: BTreeSet<String> = files(&["docs/adr"], &["md"])
        .iter()
        .filter_map(|file| file.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name != "README.md")
        .collect();
    for (number, name) in names.iter().enumerate() {
        if !name.starts_with(&format!("{number:04}-")) {
            faults.push(format!("docs/adr/{name}: the next free number is {number:04}"));
        }
        if !index.contains(&format!("({name})")) {
            faults.push(format!("docs/adr/{name}: add a line to docs/adr/README.md"));
        }
    }
    report(&faults);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for file in files(&["."], &["md"]) {
        let text = fs::read_to_string(root().join(&file)).expect("a document");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let outside = target.is_empty() || target.contains(':') || target.starts_with('/');
            let path = root().join(&file).with_file_name(target);
            if !outside && !path.exists() {
                faults.push(format!(
                    "{}: there is no {target}: correct the link, or write the page",
                    file.display()
                ));
            }
        }
    }
    for file in files(&["src", "crates", "web", "tests"], &["rs", "ts", "mjs"]) {
        let text = fs::read_to_string(root().join(&file)).expect("a source file");
        for rest in text.split("docs/").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/-_.".contains(c));
            let page = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            if page.ends_with(".md") && !root().join("docs").join(page).exists() {
                faults.push(format!(
                    "{}: there is no docs/{page}: correct the name, or write the page",
                    file.display()
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_readme_and_the_script_name_the_same_commands() {
    let help =
        Command::new("sh").args(["x", "help"]).current_dir(root()).output().expect("./x help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let offered: BTreeSet<String> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && *word != "help")
        .map(str::to_owned)
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let told: BTreeSet<String> = readme
        .split("./x ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next())
        .filter(|word| !word.is_empty() && *word != "help")
        .map(str::to_owned)
        .collect();
    assert_eq!(
        offered, told,
        "left what `./x help` offers, right what README.md tells: make them one"
    );
}

// ---------------------------------------------------------------- the tree

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn cores() -> Vec<String> {
    fs::read_dir(root().join("crates"))
        .expect("crates/")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter(|name| root().join("crates").join(name).is_dir())
        .filter(|name| !NOT_CORES.contains(&name.as_str()))
        .collect()
}

/// Files below these folders with one of these extensions, from the root, in order. Folders that
/// builds fill are left out.
fn files(folders: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry.expect("an entry");
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().expect("a type").is_dir() {
                if !name.starts_with('.') && !matches!(&*name, "target" | "node_modules" | "dist") {
                    waiting.push(path);
                }
            } else if path
                .extension()
                .and_then(OsStr::to_str)
                .is_some_and(|e| extensions.contains(&e))
            {
                found.push(path);
            }
        }
    }
    let inside = |path: PathBuf| {
        let normal: PathBuf = path.components().collect();
        normal.strip_prefix(root()).expect("below the root").to_owned()
    };
    let mut found: Vec<PathBuf> = found.into_iter().map(inside).collect();
    found.sort();
    found
}

/// The top module a file below `src/` belongs to.
fn module(file: &Path) -> Option<String> {
    let first = file.strip_prefix("src").ok()?.iter().next()?;
    Path::new(first).file_stem()?.to_str().map(str::to_owned)
}

/// The top modules of this crate that a source text names: `crate::NAME` and `crate::{NAME, …}`.
fn imports(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut found = BTreeSet::new();
    for rest in code.join("\n").split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.extend(words(rest).next().map(str::to_owned));
            continue;
        };
        let mut depth = 0;
        for item in group.split_inclusive([',', '{', '}']) {
            if depth == 0 {
                found.extend(words(item).next().map(str::to_owned));
            }
            match item.chars().next_back() {
                Some('{') => depth += 1,
                Some('}') if depth == 0 => break,
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn imports_are_found_alone_and_in_groups() {
    let text = "use crate::flow::Stream; // crate::ops\nuse crate::{config::{self, Mode}, origin};\nlet a = crate::ladder::f();";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["config", "flow", "ladder", "origin"]);
}
