//! The two databases have the same tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use babysea::config::Database;
use babysea::store::Db;

fn folder(database: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database)
}

fn files(database: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(database)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Every table with its columns (and whether each may be absent), and every index.
fn schema(database: &str) -> BTreeMap<String, Vec<String>> {
    let mut schema: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = None;
    for file in files(database) {
        let text = std::fs::read_to_string(folder(database).join(file)).unwrap();
        for line in text.lines() {
            let words: Vec<&str> = line.split([' ', '(']).filter(|word| !word.is_empty()).collect();
            match words.as_slice() {
                ["CREATE", "TABLE", name, ..] => table = Some((*name).to_owned()),
                ["CREATE", "UNIQUE", "INDEX", name, ..] | ["CREATE", "INDEX", name, ..] => {
                    schema.insert(format!("index {name}"), Vec::new());
                }
                ["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..] => {
                    let required = line.contains("NOT NULL");
                    let columns = schema.entry((*name).to_owned()).or_default();
                    columns.push(format!("{column} required={required}"));
                }
                [")", ..] | [");", ..] | [")STRICT", ..] => table = None,
                [column, ..]
                    if table.is_some() && column.starts_with(|c: char| c.is_lowercase()) =>
                {
                    let required = line.contains("NOT NULL");
                    let columns = schema.entry(table.clone().unwrap()).or_default();
                    columns.push(format!("{column} required={required}"));
                }
                _ => {}
            }
        }
    }
    schema
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(files("sqlite"), files("postgres"));
}

#[test]
fn both_databases_have_the_same_tables_columns_and_indexes() {
    let (sqlite, postgres) = (schema("sqlite"), schema("postgres"));
    assert!(sqlite.len() > 10 && sqlite.contains_key("ledger_entries"), "{sqlite:#?}");
    assert_eq!(sqlite, postgres);
}

/// A server and a command that start together on nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_migrate_once() {
    let directory = std::env::temp_dir().join(format!("babysea-{:016x}", rand::random::<u64>()));
    let database = Database::Sqlite(directory.join("deep/babysea.db"));
    let starts = (0..8).map(async |_| {
        let db = Db::connect(&database, 2).await.unwrap();
        db.migrate().await.unwrap();
        db.close().await;
    });
    futures_util::future::join_all(starts).await;
    std::fs::remove_dir_all(directory).unwrap();
}
