//! What the operator's listener shows.

use std::collections::BTreeMap;

use super::app::TestApp;

/// Every sample by its name and labels as they are written.
#[derive(Debug)]
pub struct Metrics {
    pub text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    pub async fn read(app: &TestApp) -> Self {
        let url = format!("{}/metrics", app.operator_url);
        let text = app.client.get(url).send().await.unwrap().text().await.unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self { samples: samples.collect(), text: text.clone() }
    }

    /// The value of a sample; 0 when nothing has been counted yet.
    pub fn get(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or_default()
    }
}
