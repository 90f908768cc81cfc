//! The real program in a process of its own, and its command line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::database::{self, Backend};
use super::described;
use super::program::{PROGRAM, Printed, run};
use super::wait;

/// A running server with a data directory and a database of its own.
///
/// When it is dropped the server is stopped and `babysea audit` has to find nothing: every
/// story ends with whole books.
pub struct TestApp {
    pub directory: TempDir,
    pub database_url: String,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// Where metrics are.
    pub operator_url: String,
    /// The emulator in its process; empty when it asks real providers.
    pub emulator_url: String,
    /// The Full Access key of the first account.
    pub key: String,
    pub account_id: String,
    /// What makes the first owner, while there is nobody.
    pub first_link: Option<String>,
    pub client: Client,
    settings: Vec<(String, String)>,
    child: Child,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { status, headers, body }
    }

    pub fn data(&self) -> &Value {
        assert_eq!(self.body["status"], "success", "{}", self.body);
        &self.body["data"]
    }

    /// The code of an error.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {}", self.body))
    }

    /// The id of a generation just made.
    pub fn generation_id(&self) -> String {
        self.data()["generation_id"].as_str().unwrap().to_owned()
    }
}

/// A key just made.
#[derive(Debug)]
pub struct NewKey {
    pub id: String,
    pub text: String,
}

impl NewKey {
    /// From what the command line has printed.
    pub fn of(printed: &Value) -> Self {
        let text = |field: &str| printed[field].as_str().unwrap().to_owned();
        Self { id: text("apikey_id"), text: text("apikey") }
    }
}

impl TestApp {
    /// Starts a server with an empty database.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, &[]).await
    }

    /// Starts one with other settings than the default ones, by `section.key`.
    pub async fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database_url = database::fresh(backend, &directory).await;
        Self::start_on(directory, database_url, settings)
    }

    /// Starts one on what is there already; then there may be no first key.
    pub fn start_on(directory: TempDir, database_url: String, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            // Hashing is not what is tested, and 4 is the cheapest there is.
            ("auth.bcrypt_cost".to_owned(), "4".to_owned()),
            ("operator.listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("webhooks.allow_private_targets".to_owned(), "true".to_owned()),
            // What is tried by chance is no story; those about routing set their own.
            ("routing.explore_percent".to_owned(), "0".to_owned()),
            // Stories ask faster than customers may; those about limits set their own.
            ("plan_enterprise.generations_per_minute".to_owned(), "1000000000".to_owned()),
            ("plan_enterprise.requests_per_minute".to_owned(), "1000000000".to_owned()),
        ];
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let (child, ready) = spawn(&directory, &database_url, &all);
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        Self {
            directory,
            database_url,
            url: text("listen_url"),
            operator_url: text("operator_url"),
            emulator_url: text("emulator_url"),
            key: text("apikey"),
            account_id: text("account_id"),
            first_link: ready["first_link"].as_str().map(str::to_owned),
            client: Client::new(),
            settings: all,
            child,
        }
    }

    /// The most memory that the process has had so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Kills the server at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to stop and waits until it has.
    pub async fn stop(&mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait::until("the server has stopped", async || self.child.try_wait().unwrap()).await
    }

    /// Starts the server again on the same data.
    pub fn start_again(&mut self) {
        let (child, ready) = spawn(&self.directory, &self.database_url, &self.settings);
        self.child = child;
        self.url = ready["listen_url"].as_str().unwrap().to_owned();
        self.operator_url = ready["operator_url"].as_str().unwrap_or_default().to_owned();
        self.first_link = ready["first_link"].as_str().map(str::to_owned);
        self.emulator_url = ready["emulator_url"].as_str().unwrap_or_default().to_owned();
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.get_as(&self.key, path)
    }

    pub fn get_as(&self, key: &str, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(key)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.post_as(&self.key, path)
    }

    pub fn post_as(&self, key: &str, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(key)
    }

    /// Sends a request; the answer has to be as the API document says.
    pub async fn ask(&self, request: RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Answer::read(client.execute(request).await.unwrap()).await;
        if !answer.body.is_null() {
            described::check(&method, &path, answer.status, &answer.body);
        }
        answer
    }

    /// Submits an image; the fields are those of a sandbox model without `generation_sandbox_`
    /// or the whole name.
    pub async fn generate(&self, model: &str, fields: Value) -> Answer {
        let mut body = json!({ "generation_prompt": "a lighthouse made of folded paper" });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let kind = if body.get("generation_duration").is_some() { "video" } else { "image" };
        let path = format!("/v1/generate/{kind}/{model}");
        self.ask(self.post(&path).json(&body)).await
    }

    /// The record of a generation.
    pub async fn record(&self, id: &str) -> Value {
        self.ask(self.get(&format!("/v1/content/{id}"))).await.data().clone()
    }

    /// Waits until a generation has ended, and gives its record.
    pub async fn wait_for_end(&self, id: &str) -> Value {
        wait::until("the generation has ended", async || {
            let record = self.record(id).await;
            let status = record["generation_status"].as_str().unwrap();
            (!["pending", "processing"].contains(&status)).then_some(record)
        })
        .await
    }

    /// Arranges by SQL what no command does.
    pub async fn execute(&self, statement: &'static str) {
        database::execute(&self.database_url, statement).await;
    }

    /// Arranges by several statements what no command does; `{…}` is a UUID.
    pub async fn script(&self, statements: &str) {
        database::script(&self.database_url, statements).await;
    }

    /// Asks the database for a number.
    pub async fn count(&self, question: &'static str) -> i64 {
        database::count(&self.database_url, question).await
    }

    /// Runs a command; it has to succeed. Gives the one JSON document that it prints.
    pub fn cli(&self, arguments: &[&str]) -> Value {
        let (ok, printed) = self.try_cli(arguments);
        assert!(ok, "{arguments:?}: {printed}");
        printed
    }

    /// Runs a command, which may fail.
    pub fn try_cli(&self, arguments: &[&str]) -> (bool, Value) {
        let mut command = command(&self.directory, &self.database_url, &self.settings);
        let output = command.args(arguments).arg("--json").output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_str(&printed);
        let document =
            document.unwrap_or_else(|_| panic!("{arguments:?} printed {printed:?}\n{errors}"));
        (output.status.success(), document)
    }

    /// Runs a command line as it is typed, and gives everything that comes back.
    pub fn type_line(&self, arguments: &[&str]) -> Printed {
        run(command(&self.directory, &self.database_url, &self.settings).args(arguments))
    }

    /// How to call the program beside the server, as words.
    pub fn line(&self) -> Vec<String> {
        let directory = self.directory.path().display().to_string();
        let line = [PROGRAM, "--data-dir", &directory, "--database-url", &self.database_url];
        line.map(str::to_owned).to_vec()
    }

    /// Gives a program this server's settings, for commands that it runs.
    pub fn configure(&self, program: &mut Command) {
        configure(program, &self.settings);
    }

    /// Makes a key of the first account; `more` are further arguments.
    pub fn new_key(&self, preset: &str, more: &[&str]) -> NewKey {
        let mut line = vec!["key", "create", "--account", &self.account_id, "--name", "story"];
        line.extend(["--preset", preset]);
        line.extend(more);
        NewKey::of(&self.cli(&line))
    }

    /// Makes an account with this much credit and a Full Access key.
    pub fn account(&self, credits: &str) -> (String, String) {
        let account = self.cli(&[
            "account",
            "create",
            "--name",
            "Paper Lab",
            "--kind",
            "team",
            "--plan",
            "enterprise",
            "--credits",
            credits,
        ]);
        let account = account["account_id"].as_str().unwrap().to_owned();
        let key = self.cli(&[
            "key",
            "create",
            "--account",
            &account,
            "--name",
            "render farm",
            "--preset",
            "full_access",
        ]);
        (account, key["apikey"].as_str().unwrap().to_owned())
    }

    /// The entries of an account's ledger.
    pub fn ledger(&self, account: &str) -> Vec<Value> {
        let printed = self.cli(&["ledger", "list", "--account", account]);
        printed["entries"].as_array().unwrap().clone()
    }

    /// The types of the ledger entries of a generation, in order.
    pub fn movements(&self, account: &str, generation: &str) -> Vec<String> {
        self.ledger(account)
            .iter()
            .filter(|entry| entry["generation_id"] == generation)
            .map(|entry| entry["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A generation as an operator sees it.
    pub fn show(&self, generation: &str) -> Value {
        self.cli(&["generation", "show", "--id", generation])
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // It may have been stopped by the story already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let (ok, findings) = self.try_cli(&["audit"]);
            assert!(ok, "the audit found: {findings:#}");
        }
    }
}

fn command(directory: &TempDir, database_url: &str, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(directory.path()).args(["--database-url", database_url]);
    configure(&mut command, settings);
    command
}

fn configure(command: &mut Command, settings: &[(String, String)]) {
    for (key, value) in settings {
        let name = format!("BABYSEA__{}", key.to_uppercase().replace('.', "__"));
        command.env(name, value);
    }
}

/// Starts the server and waits until it says where it listens.
fn spawn(directory: &TempDir, database_url: &str, settings: &[(String, String)]) -> (Child, Value) {
    let mut child = command(directory, database_url, settings)
        .args(["serve", "--listen", "127.0.0.1:0", "--json"])
        .env("BABYSEA__LOG__FILTER", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_default();
    assert!(ready["url"].is_string(), "the server did not start: {line:?}");
    (child, ready)
}
