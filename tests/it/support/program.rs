//! The program as an operator starts it: a line typed, and what comes back.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::wait;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_babysea");

/// What a command has printed and ended with.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Printed {
    /// The one JSON document on standard output; anything beside it is a failure.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not one document: {self:?}"))
    }
}

/// The program with settings by `section.key`, which reach it through the environment.
pub fn babysea(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    for (key, value) in settings {
        command.env(format!("BABYSEA__{}", key.to_uppercase().replace('.', "__")), value);
    }
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Printed {
    let output = command.output().unwrap();
    Printed {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server in a process of its own, of which only what it prints is known. Killed when it is
/// dropped.
pub struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(command: &mut Command) -> Self {
        let log = ("BABYSEA__LOG__FILTER", "warn");
        let command = command.env(log.0, log.1).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// What is printed up to and with the first line that contains this.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        loop {
            let before = text.len();
            self.out.read_line(&mut text).unwrap();
            assert!(text.len() > before, "ended without {end:?}: {text:?}");
            if text[before..].contains(end) {
                return text;
            }
        }
    }

    /// Sends it a signal and waits for its end.
    pub async fn stop(&mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        wait::until("the server has stopped", async || self.child.try_wait().unwrap()).await
    }

    /// What it has printed that nobody has read yet, and its warnings; it has to have ended.
    pub fn rest(mut self) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped by the story already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
