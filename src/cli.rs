//! The command line: what an operator types, and what comes back.
//!
//! Every command answers with one `Answer`: a JSON document for machines (`--json`), and text
//! for people that says the same. Standard output carries nothing else; logs go to standard
//! error.

pub mod actors;
pub mod bench;

mod account;
mod alerts;
mod audit;
mod credit;
mod emulate;
mod generation;
mod key;
mod notification;
mod output;
mod parse;
mod routing;
mod secrets;
mod user;
mod webhook;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::cli::output::{Answer, Output};
use crate::config::{Config, Database, Overrides};
use crate::identity::Context;
use crate::secrets::MasterKey;
use crate::store::{Db, Store};
use crate::{app, telemetry};

/// What a refused or failed command ends with.
const FAILED: u8 = 1;
/// What a command line that makes no sense ends with.
const USAGE: u8 = 2;
/// Connections of a command, which does one thing after another. The second one reads while the
/// first writes.
const CONNECTIONS: u32 = 2;

/// A self-hosted execution control plane for generative media.
///
/// Without a command it is the server, as with `babysea serve`. Commands work while the server
/// runs, but for `secrets rotate`, and take effect within a second, or three for what is sent again.
#[derive(Debug, Parser)]
#[command(name = "babysea", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    /// Of the server, which may be run without naming it.
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused or failed, 2 not understood.

Example: babysea account create --name Studio --kind team --plan pro --json";

/// Accepted before and after every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Directory of the database, the outputs and the master key
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// `postgres://user:password@host/database`, or `sqlite:PATH`
    #[arg(long, global = true, value_name = "URL", hide_default_value = true)]
    database_url: Option<String>,
    /// File with settings that differ from the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = "Example: babysea serve --listen 0.0.0.0:8080")]
    Serve(ServeArgs),
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Watch the actors of a running server
    #[command(after_help = "Example: babysea actors")]
    Actors(actors::ActorsArgs),
    /// Measure this machine
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Stand in for the providers: speak all their wires, without network or cost
    ///
    /// Each provider has a base path, such as /replicate/v1 and /openai/v1. `--config` names a
    /// file with limits and faults.
    #[command(after_help = "Example: babysea emulate --listen 127.0.0.1:8787")]
    Emulate(emulate::EmulateArgs),
}

/// What works on the database and ends.
#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Bring the database's tables up to date; every other command does so too
    #[command(after_help = "Example: babysea migrate --database-url postgres://babysea@db/babysea")]
    Migrate,
    /// Make and show accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Make, replace and withdraw API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make users who sign in to the dashboard, and links for them
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make and switch webhook endpoints
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Show what owners were told, and put it away
    #[command(subcommand)]
    Notification(notification::NotificationCommand),
    /// Replace the key that stored secrets are sealed with
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Grant credit
    #[command(subcommand)]
    Credit(credit::CreditCommand),
    /// Show the movements of credit
    #[command(subcommand)]
    Ledger(credit::LedgerCommand),
    /// Show generations
    #[command(subcommand)]
    Generation(generation::GenerationCommand),
    /// Show in which order providers are tried
    #[command(subcommand)]
    Routing(routing::RoutingCommand),
    /// Check every invariant of the ledger and of the state machines
    ///
    /// Reads the whole database in one snapshot, while the server may go on. Ends with 0 when
    /// everything holds and with 1 when something does not.
    #[command(after_help = "Example: babysea audit --json")]
    Audit,
}

#[derive(Debug, Args, Default)]
struct ServeArgs {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Reads the process's command line, does what it says, and answers how it went.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line: Vec<OsString> = line.into_iter().collect();
    let cli = match parse(&line) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&line, &error),
    };
    let output = Output { json: cli.global.json };
    match cli.run(output) {
        Ok(Some(answer)) => {
            output.print(&answer);
            if answer.is_failure() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            output.print_error(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn parse(line: &[OsString]) -> Result<Cli, clap::Error> {
    let cli = Cli::try_parse_from(line)?;
    match cli.command {
        None | Some(Command::Serve(_)) => Ok(cli),
        Some(_) if cli.serve.listen.is_none() => Ok(cli),
        Some(_) => {
            let message = "--listen is for the server, and this command does not run it";
            Err(Cli::command().error(ErrorKind::ArgumentConflict, message))
        }
    }
}

fn not_understood(line: &[OsString], error: &clap::Error) -> ExitCode {
    // Help and version come this way too, and are no mistake.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let _ = error.print();
    // A program that asked for JSON gets it even if the rest of its line makes no sense.
    if line.iter().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        Output { json: true }.print_error(message);
    }
    ExitCode::from(USAGE)
}

impl Cli {
    /// The server, and what draws on the terminal, answer nothing when they end.
    fn run(self, output: Output) -> anyhow::Result<Option<Answer>> {
        let command = self.command.unwrap_or(Command::Serve(ServeArgs::default()));
        let listen = match &command {
            Command::Serve(serve) => serve.listen.clone().or(self.serve.listen),
            Command::Operator(_) | Command::Actors(_) | Command::Bench(_) | Command::Emulate(_) => {
                None
            }
        };
        let overrides = Overrides {
            listen,
            data_dir: self.global.data_dir,
            database_url: self.global.database_url,
        };
        let file = self.global.config.as_deref();
        // Its file is of another kind.
        let is_emulator = matches!(command, Command::Emulate(_));
        let config = Config::load(file.filter(|_| !is_emulator), &overrides)?;
        telemetry::start(&config.log)?;
        match command {
            Command::Serve(_) => app::serve(&config, output.json).map(|()| None),
            Command::Operator(command) => command.run(&config).map(Some),
            Command::Actors(arguments) => actors::run(&config, &arguments, output),
            Command::Bench(command) => bench::run(&config, &command).map(Some),
            Command::Emulate(arguments) => emulate::run(file, &arguments, output).map(|()| None),
        }
    }
}

impl OperatorCommand {
    fn run(self, config: &Config) -> anyhow::Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            self.expect_database(&config.storage.database)?;
            let db = Db::connect(&config.storage.database, CONNECTIONS).await?;
            db.migrate().await?;
            if let Self::Secrets(command) = self {
                return command.run(config, db).await;
            }
            let master_key = MasterKey::load(config)?;
            let store = Store::without_writer(db.clone(), &master_key);
            let answer = self.answer(&Context::new(store, config), config).await;
            db.close().await;
            answer
        });
        // A look-up of a name whose server does not answer would be waited for.
        runtime.shutdown_background();
        answer
    }

    /// A mistyped path must not become an empty database in which nothing is found.
    fn expect_database(&self, database: &Database) -> anyhow::Result<()> {
        let begins =
            matches!(self, Self::Migrate | Self::Account(account::AccountCommand::Create(_)));
        match database {
            Database::Sqlite(path) if !begins && !path.exists() => anyhow::bail!(
                "there is no database at {}; `babysea` or `babysea migrate` makes one",
                path.display()
            ),
            Database::Sqlite(_) | Database::Postgres(_) => Ok(()),
        }
    }

    async fn answer(self, context: &Context, config: &Config) -> anyhow::Result<Answer> {
        match self {
            Self::Migrate => Ok(migrated(&config.storage.database)),
            Self::Account(command) => command.run(context).await,
            Self::Key(command) => command.run(context).await,
            Self::User(command) => command.run(context, config).await,
            Self::Webhook(command) => command.run(context, config).await,
            Self::Notification(command) => command.run(context).await,
            Self::Secrets(_) => unreachable!("it is run before"),
            Self::Credit(command) => command.run(context).await,
            Self::Ledger(command) => command.run(context).await,
            Self::Generation(command) => command.run(context).await,
            Self::Routing(command) => command.run(context, config).await,
            Self::Audit => audit::run(context, config).await,
        }
    }
}

/// Which database it was, without the password that its URL may hold.
fn migrated(database: &Database) -> Answer {
    let name = match database {
        Database::Sqlite(path) => format!("sqlite:{}", path.display()),
        Database::Postgres(_) => "postgres".to_owned(),
    };
    let text = format!("{name} is up to date.");
    Answer::new(json!({ "database": name, "migrated": true }), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understands(line: &str) -> Result<Cli, clap::Error> {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&line)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for_and_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no purpose");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {argument} has no help");
            }
            let inner: Vec<_> = command.get_subcommands().collect();
            if inner.is_empty() {
                let example = command.get_after_help().map(ToString::to_string);
                assert!(
                    example.is_some_and(|text| text.contains("Example: babysea ")),
                    "{path} has no example"
                );
            }
            inner.into_iter().for_each(|inner| check(inner, &path));
        }
        check(&Cli::command(), "");
    }

    #[test]
    fn global_options_are_taken_anywhere() {
        for line in [
            "babysea --json --data-dir /d account list",
            "babysea account --json --data-dir /d list",
            "babysea account list --data-dir /d --json",
        ] {
            let cli = understands(line).unwrap();
            assert!(cli.global.json, "{line}");
            assert_eq!(cli.global.data_dir.as_deref(), Some("/d"), "{line}");
        }
    }

    #[test]
    fn no_command_is_the_server() {
        assert!(understands("babysea").unwrap().command.is_none());
        assert!(understands("babysea --data-dir /d").unwrap().command.is_none());
    }

    #[test]
    fn where_to_listen_is_taken_with_and_without_the_word_serve() {
        for line in ["babysea --listen [::]:1", "babysea --listen [::]:1 serve --json"] {
            assert_eq!(understands(line).unwrap().serve.listen.as_deref(), Some("[::]:1"));
        }
        assert!(understands("babysea serve --listen [::]:1").is_ok());
        assert!(understands("babysea --listen [::]:1 account list").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "babysea acount list",
            "babysea account create --name a --kind group --plan pro",
            "babysea account create --name a --kind team --plan pro --credits 1.0001",
            "babysea account create --name a --kind team --plan pro --credits -1",
            "babysea account show --id 1",
            "babysea key rotate --id 0198c0de-0000-7000-8000-000000000000 --grace-hours 169",
            "babysea key rotate --id 0198c0de-0000-7000-8000-000000000000 --grace-hours 0",
            "babysea key create --account 0198c0de-0000-7000-8000-000000000000 --name a \
             --preset read_only --allow-ip 10.0.0.0/8",
        ] {
            assert!(understands(line).is_err(), "{line}");
        }
    }

    #[test]
    fn lists_are_repeated_or_separated() {
        let id = "0198c0de-0000-7000-8000-000000000000";
        for events in [
            "--event generation.failed --event generation.started",
            "--event generation.failed generation.started",
            "--event generation.failed,generation.started",
        ] {
            let line = format!("babysea webhook create --account {id} --url https://a.b {events}");
            let command = understands(&line).unwrap().command.unwrap();
            let shown = format!("{command:?}");
            assert!(shown.contains("GenerationFailed, GenerationStarted"), "{shown}");
        }
    }
}
