//! A real mail server in a process of its own, which says what it was given.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::wait;

/// A mail as it came in.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub from: String,
    pub subject: String,
    pub id: String,
    pub body: String,
}

impl Mail {
    /// Where the link leads, below the address of the server.
    pub fn path(&self) -> String {
        let link = self.body.lines().find(|line| line.starts_with("http")).unwrap();
        let url = url::Url::parse(link).unwrap();
        url.path().to_owned()
    }

    /// The code of six digits.
    pub fn code(&self) -> String {
        let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|it| it.is_ascii_digit());
        self.body.lines().find(is_code).unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

/// Killed when it is dropped.
pub struct MailServer {
    child: Child,
    port: String,
    taken: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// `None` without the program that the server is, which only a developer may be.
    pub fn start() -> Option<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
        let python: PathBuf = directory.join(".venv/bin/python");
        if !python.exists() {
            assert!(std::env::var_os("CI").is_none(), "CI must install {}", python.display());
            eprintln!("not tested: {} is missing, tests/run installs it", python.display());
            return None;
        }
        let mut child = Command::new(python)
            .arg(directory.join("server.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        out.read_line(&mut port).unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&taken);
        // Ends with the process.
        std::thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { return };
                let mail: Value = serde_json::from_str(&line).unwrap();
                let text = |field: &str| mail[field].as_str().unwrap().to_owned();
                all.lock().unwrap().push(Mail {
                    to: mail["to"][0].as_str().unwrap().to_owned(),
                    from: text("from"),
                    subject: text("subject"),
                    id: text("id"),
                    body: text("body"),
                });
            }
        });
        Some(Self { child, port: port.trim().to_owned(), taken })
    }

    /// The settings of a server that sends its mail here.
    pub fn url(&self) -> String {
        format!("smtp://sea:secret@127.0.0.1:{}", self.port)
    }

    /// Takes the oldest mail to this address with this in its subject, waiting for it.
    pub async fn take(&self, to: &str, subject: &str) -> Mail {
        wait::until(&format!("there is a mail to {to} about {subject}"), async || {
            let mut taken = self.taken.lock().unwrap();
            let found = taken.iter().position(|it| it.to == to && it.subject.contains(subject));
            found.map(|place| taken.remove(place))
        })
        .await
    }

    /// What nobody has taken.
    pub fn left(&self) -> Vec<Mail> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
