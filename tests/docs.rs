//! Documents say what the code does: links, folders, commands, config keys, messages and columns.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with one of these extensions, sorted.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|it| extensions.iter().any(|known| it == *known)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every document with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "BENCHMARKS.md", "CHANGELOG.md"];
    let top = top.iter().map(|it| root().join(it));
    let all = top.chain(files(&root().join("docs"), &["md"]));
    all.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The text without its fenced code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The fenced code blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fenced = text.split("```").skip(1).step_by(2);
    let of_language = fenced.filter_map(|it| it.strip_prefix(language)?.strip_prefix('\n'));
    of_language.map(str::to_owned).collect()
}

/// What stands in backticks, line by line.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn onward(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_onward")).args(arguments).output().expect("onward");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_link_leads_to_a_file() {
    let mut links = 0;
    for (path, text) in documents() {
        for link in prose(&text).split("](").skip(1).filter_map(|it| it.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let target = path.parent().unwrap().join(target);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            links += 1;
        }
    }
    assert!(links > 20, "only {links} links were found");
}

#[test]
fn architecture_names_every_folder_and_only_those_that_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named: BTreeSet<&str> = code_spans(&text).filter(|it| it.ends_with('/')).collect();
    let sources = ["src", "pipeline/src", "model/src", "storage/src", "evaluation/src"];
    for source in sources {
        for entry in fs::read_dir(root().join(source)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                let folder = format!("{source}/{}/", entry.file_name().to_string_lossy());
                assert!(named.contains(folder.as_str()), "ARCHITECTURE.md has no heading {folder}");
            }
        }
    }
    let rooted = |it: &&&str| sources.iter().any(|source| it.starts_with(&format!("{source}/")));
    for folder in named.iter().filter(rooted) {
        assert!(root().join(folder).is_dir(), "ARCHITECTURE.md names {folder}, which is missing");
    }
}

#[test]
fn every_path_in_a_document_exists() {
    let tops = [
        "pipeline/",
        "model/",
        "storage/",
        "evaluation/",
        "src/",
        "tests/",
        "scripts/",
        "configs/",
        "packaging/",
        "bench/",
        "examples/",
        "docs/",
    ];
    let mut paths = 0;
    for (path, text) in documents() {
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        for code in code_spans(&prose(&text)) {
            let word = code.split_whitespace().next().unwrap_or_default();
            let general = word.contains(['*', '<', '{', '$']) || word.contains("NAME");
            if general || !tops.iter().any(|it| word.starts_with(it)) {
                continue;
            }
            let file = word.split(':').next().unwrap();
            assert!(root().join(file).exists(), "{}: {word} does not exist", path.display());
            paths += 1;
        }
    }
    assert!(paths > 30, "only {paths} paths were found");
}

#[test]
fn every_command_and_option_exists() {
    let mut commands = 0;
    for (path, text) in documents() {
        let shell = blocks(&text, "sh").join("\n") + &blocks(&text, "console").join("\n");
        let prose = prose(&text);
        let inline = code_spans(&prose).map(str::to_owned);
        let shell = shell.replace("\\\n", " ");
        for line in shell.lines().map(str::to_owned).chain(inline) {
            let line = line.split(" #").next().unwrap().trim_start_matches("$ ").trim();
            let Some(rest) = line.strip_prefix("onward ") else { continue };
            let mut words = rest.split_whitespace();
            let command = words.next().unwrap();
            if command.starts_with('-') {
                continue;
            }
            let help = onward(&[command, "--help"]);
            for option in words.filter(|it| it.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: {line}: no {option}", path.display());
            }
            commands += 1;
        }
    }
    assert!(commands > 10, "only {commands} commands were found");
}

/// Keys of the config's JSON Schema, in which `at` is looked up part by part.
struct Schema(Value);

impl Schema {
    fn resolve<'a>(&'a self, node: &'a Value) -> Vec<&'a Value> {
        let mut all = vec![node];
        if let Some(name) = node["$ref"].as_str() {
            let target = self.0.pointer(name.trim_start_matches('#')).expect("a definition");
            all.extend(self.resolve(target));
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            for choice in node[key].as_array().into_iter().flatten() {
                all.extend(self.resolve(choice));
            }
        }
        all
    }

    /// The first key of `value` that the schema does not have below `node`.
    fn unknown_key(&self, node: &Value, value: &toml::Value, at: &str) -> Option<String> {
        match value {
            toml::Value::Table(table) => table.iter().find_map(|(key, value)| {
                let at = format!("{at}.{key}");
                let nodes = self.resolve(node);
                let children: Vec<_> =
                    nodes.iter().filter_map(|it| it["properties"].get(key)).collect();
                if children.is_empty() {
                    return Some(at);
                }
                // An alternative has the key; one of them must have all below it.
                let unknown: Vec<_> =
                    children.iter().map(|it| self.unknown_key(it, value, &at)).collect();
                unknown.into_iter().min_by_key(Option::is_some).flatten()
            }),
            toml::Value::Array(items) => items.iter().find_map(|item| {
                let nodes = self.resolve(node);
                let children = nodes.iter().filter_map(|it| it.get("items"));
                let unknown: Vec<_> = children.map(|it| self.unknown_key(it, item, at)).collect();
                unknown.into_iter().min_by_key(Option::is_some).flatten()
            }),
            _ => None,
        }
    }
}

#[test]
fn every_config_key_exists() {
    let schema = Schema(serde_json::from_str(&onward(&["schema"])).unwrap());
    let wrong: toml::Value = toml::from_str("[pipeline.clip]\nframez = 3").unwrap();
    let found = schema.unknown_key(&schema.0, &wrong, "");
    assert_eq!(found.as_deref(), Some(".pipeline.clip.framez"), "the test finds nothing");
    let mut configs = 0;
    for (path, text) in documents() {
        for block in blocks(&text, "toml") {
            let table: toml::Value = toml::from_str(&block)
                .unwrap_or_else(|err| panic!("{}: {err}\n{block}", path.display()));
            // A fragment without a table is one of a stream.
            let top = ["pipeline", "model", "storage", "checkpoint", "seed", "thumbnails"];
            let rooted = top.iter().any(|it| table.get(it).is_some());
            let table = if rooted {
                table
            } else {
                let stream = toml::Value::Array(vec![table]);
                let pipeline = toml::Table::from_iter([("stream".to_owned(), stream)]);
                toml::Value::Table(toml::Table::from_iter([(
                    "pipeline".to_owned(),
                    pipeline.into(),
                )]))
            };
            let unknown = schema.unknown_key(&schema.0, &table, "");
            assert_eq!(unknown, None, "{} has an unknown key:\n{block}", path.display());
            configs += 1;
        }
    }
    assert!(configs > 3, "only {configs} configs were found");
}

/// Source text as one line without the breaks of long string literals.
fn sources() -> String {
    let mut all = String::new();
    for folder in ["src", "pipeline/src", "model/src", "storage/src"] {
        for path in files(&root().join(folder), &["rs"]) {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let joined: Vec<&str> = all.split("\\\n").map(str::trim_start).collect();
    joined.concat().replace("\\\"", "\"")
}

#[test]
fn every_message_for_operators_is_in_the_code() {
    let sources = sources();
    let text = fs::read_to_string(root().join("docs/cameras.md")).unwrap();
    let section = text.split("## What you see").nth(1).unwrap().split("### Exit status").next();
    let mut messages = 0;
    for row in section.unwrap().lines().filter(|it| it.starts_with('|')).skip(1) {
        let message = row.split(" | ").next().unwrap();
        for part in code_spans(message).filter(|it| it.trim().len() >= 4) {
            assert!(sources.contains(part), "docs/cameras.md quotes {part:?}: not in the code");
            messages += 1;
        }
    }
    assert!(messages > 30, "only {messages} messages were found");
}

/// The columns that a run of TDV stored, as `dataset.json` describes them.
fn columns() -> String {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = "configs/quickstart.toml";
    let sets = [
        format!("storage.dir={}", run.display()),
        "model.train.steps=2".into(),
        "embed_every=1".into(),
        "device=cpu".into(),
    ];
    let sets = sets.iter().flat_map(|it| ["--set", it]);
    onward(&["train", config, "--quiet"].into_iter().chain(sets).collect::<Vec<_>>());
    let described = fs::read_to_string(run.join("dataset.json")).unwrap();
    let described: Value = serde_json::from_str(&described).unwrap();
    let mut text = String::new();
    for table in ["metrics", "embeddings", "streams", "events"] {
        let described = &described["tables"][table];
        let about = described["description"].as_str().unwrap();
        text += &format!("\n### `{table}`\n\n{about}\n\n");
        text += "| column | type | may be null | unit | meaning |\n|---|---|---|---|---|\n";
        for column in described["columns"].as_array().unwrap() {
            let of = |key: &str| column[key].as_str().unwrap_or_default();
            let (name, kind) = (of("name"), of("type"));
            let nullable = if column["nullable"] == true { "yes" } else { "no" };
            let row = format!("{nullable} | {} | {}", of("unit"), of("description"));
            text += &format!("| `{name}` | {kind} | {row} |\n").replace("|  |", "| |");
        }
    }
    text + "\n"
}

#[test]
fn tables_md_has_the_columns_of_a_run() {
    let path = root().join("docs/tables.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- columns -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end of columns -->").unwrap();
    let wanted = columns();
    if std::env::var_os("ONWARD_UPDATE_DOCS").is_some() {
        let marks = ["<!-- columns -->\n", "<!-- end of columns -->"];
        let text = [before, marks[0], &wanted, marks[1], after].concat();
        return fs::write(&path, text).unwrap();
    }
    assert!(
        found == wanted,
        "docs/tables.md is not what a run stores: ONWARD_UPDATE_DOCS=1 cargo test --test docs \
         writes it again"
    );
}

#[test]
fn the_schema_in_configs_is_the_programs() {
    let path = root().join("configs/schema.json");
    let wanted = onward(&["schema"]);
    if std::env::var_os("ONWARD_UPDATE_DOCS").is_some() {
        return fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "configs/schema.json is not what `onward schema` prints: ONWARD_UPDATE_DOCS=1 cargo test \
         --test docs writes it again"
    );
    for config in files(&root().join("configs"), &["toml"]) {
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.starts_with("#:schema ./schema.json\n"), "{} names none", config.display());
    }
}
