//! Drawing away from the threads that serve requests.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::film;
use super::job::Job;
use super::picture::{self, PictureFormat};
use crate::{Error, Output, OutputFile, OutputFormat};

/// Draws jobs, no more at a time than there are cores: more would only wait for each other.
pub(super) struct Studio {
    easels: Arc<Semaphore>,
}

impl Studio {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { easels: Arc::new(Semaphore::new(cores)) }
    }

    /// The result of a job: the same files whenever it is asked for.
    pub(super) async fn render(&self, job: Job, maker: String) -> Result<Output, Error> {
        let failed = || Error::Unavailable;
        let easel = Arc::clone(&self.easels).acquire_owned().await.map_err(|_| failed())?;
        let drawing = tokio::task::spawn_blocking(move || {
            // Held by the thread, not by the future: work goes on when nobody waits for it.
            let _easel = easel;
            let files: Result<Vec<OutputFile>, Error> =
                (0..job.artwork.count).map(|index| render_file(&job, index, &maker)).collect();
            Ok(Output { files: files?, predict_time: Some(job.latency), cost: None })
        });
        drawing.await.unwrap_or_else(|error| {
            tracing::error!(%error, "drawing in the sandbox did not end");
            Err(failed())
        })
    }
}

fn render_file(job: &Job, index: u32, maker: &str) -> Result<OutputFile, Error> {
    let artwork = &job.artwork;
    let picture = |format| {
        picture::draw(artwork, index, format, maker)
            .map_err(|error| Error::Failed(error.to_string()))
    };
    let bytes = match artwork.format {
        OutputFormat::Png => picture(PictureFormat::Png)?,
        OutputFormat::Jpg => picture(PictureFormat::Jpeg)?,
        OutputFormat::Webp => picture(PictureFormat::Webp)?,
        OutputFormat::Mp4 => {
            film::shoot(artwork, index, maker).map_err(|error| Error::Failed(error.to_string()))?
        }
    };
    Ok(OutputFile::Bytes { format: artwork.format, bytes: Bytes::from(bytes) })
}
