//! Jobs on disk: a file that grows with every change and is written anew when most of it is old.
//!
//! What was written outlives the process, not a power cut: nothing waits for the disk. A line
//! that broke off is the last one, of a change that nobody has been told of.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::jobs::Job;

/// Old lines that are not worth writing everything anew.
const OLD_MAX: usize = 1_000;

/// What a line says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<J> {
    /// A job as it is from here on.
    Is(J),
    /// It is gone.
    Gone(String),
}

/// The file of one provider's jobs.
pub(crate) struct JobsFile {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl JobsFile {
    /// Opens the file, or makes it, with the jobs that are in it, the oldest first.
    pub(crate) fn open(path: PathBuf) -> io::Result<(Self, Vec<Job>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let jobs = read(&path)?;
        // Also ends a line that broke off.
        let file = write(&path, &jobs)?;
        let lines = jobs.len();
        Ok((Self { path, file, lines }, jobs))
    }

    /// Writes down how a job is.
    pub(crate) fn is(&mut self, job: &Job) {
        self.add(&Line::Is(job));
    }

    /// Writes down that there is no such job any more.
    pub(crate) fn gone(&mut self, id: &str) {
        self.add(&Line::<&Job>::Gone(id.to_owned()));
    }

    /// Whether it is time for [`JobsFile::renew`], with so many jobs.
    pub(crate) fn is_old(&self, jobs: usize) -> bool {
        self.lines > jobs * 2 + OLD_MAX
    }

    /// Writes these jobs and nothing else, the oldest first.
    pub(crate) fn renew<'a>(&mut self, jobs: impl IntoIterator<Item = &'a Job>) {
        let jobs: Vec<&Job> = jobs.into_iter().collect();
        match write(&self.path, &jobs) {
            Ok(file) => (self.file, self.lines) = (file, jobs.len()),
            Err(error) => complain(&self.path, &error),
        }
    }

    fn add(&mut self, line: &Line<&Job>) {
        self.lines += 1;
        // One write, so that nothing comes between its parts.
        let written = text(line).and_then(|text| self.file.write_all(text.as_bytes()));
        if let Err(error) = written {
            complain(&self.path, &error);
        }
    }
}

/// The emulator goes on with what is in memory.
fn complain(path: &Path, error: &io::Error) {
    tracing::error!(%error, path = %path.display(), "jobs of the emulator are not written down");
}

fn text(line: &Line<&Job>) -> io::Result<String> {
    Ok(serde_json::to_string(line)? + "\n")
}

fn read(path: &Path) -> io::Result<Vec<Job>> {
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut jobs, mut places) = (Vec::<Option<Job>>::new(), HashMap::new());
    for line in file.split(b'\n') {
        // What is not readable broke off, or is of another version.
        match serde_json::from_slice::<Line<Job>>(&line?) {
            Ok(Line::Is(job)) => {
                let place = *places.entry(job.id.clone()).or_insert(jobs.len());
                jobs.resize(jobs.len().max(place + 1), None);
                jobs[place] = Some(job);
            }
            Ok(Line::Gone(id)) => {
                if let Some(place) = places.remove(&id) {
                    jobs[place] = None;
                }
            }
            Err(_) => {}
        }
    }
    Ok(jobs.into_iter().flatten().collect())
}

/// Puts a file with these jobs in place of the one that is there.
fn write<J: std::borrow::Borrow<Job>>(path: &Path, jobs: &[J]) -> io::Result<File> {
    let draft = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&draft)?);
    for job in jobs {
        file.write_all(text(&Line::Is(job.borrow()))?.as_bytes())?;
    }
    file.flush()?;
    std::fs::rename(&draft, path)?;
    OpenOptions::new().append(true).open(path)
}
