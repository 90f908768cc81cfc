//! `babysea secrets …`

use clap::Subcommand;
use serde_json::json;

use crate::app::Stopped;
use crate::cli::output::Answer;
use crate::config::Config;
use crate::secrets::MasterKey;
use crate::store::{Db, Store};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a new master key and seal every stored secret with it; the server has to be stopped
    ///
    /// May be repeated when it was broken off. With `secrets.master_key` in the settings, set that
    /// to the new key and `secrets.previous_master_key` to the old one first, and remove the
    /// latter afterwards. Addresses that providers were given to call back stop working; their
    /// results are found by asking.
    #[command(after_help = "Example: babysea secrets rotate")]
    Rotate,
}

impl SecretsCommand {
    pub(crate) async fn run(self, config: &Config, db: Db) -> anyhow::Result<Answer> {
        let Self::Rotate = self;
        let stopped = Stopped::take(config, &db).await?;
        let rotated = rotate(config, &db).await;
        stopped.release().await;
        db.close().await;
        let (endpoints, fingerprint) = rotated?;
        let text =
            format!("The secrets of {endpoints} webhook endpoints are sealed with the new key.");
        let document = json!({ "webhook_endpoints": endpoints, "fingerprint": fingerprint });
        Ok(Answer::new(document, text))
    }
}

/// Both keys are in the file until nothing needs the old one, so it can be broken off anywhere.
async fn rotate(config: &Config, db: &Db) -> anyhow::Result<(u64, String)> {
    let data_dir = &config.storage.data_dir;
    let in_settings = config.secrets.master_key.is_some();
    let key = match in_settings {
        true => MasterKey::load(config)?,
        false => MasterKey::begin_replacement(data_dir)?,
    };
    anyhow::ensure!(
        key.is_being_replaced(),
        "set `secrets.master_key` to the new key and `secrets.previous_master_key` to the old one"
    );
    let store = Store::without_writer(db.clone(), &key);
    store.reseal_mails().await?;
    let endpoints = store.reseal().await?;
    let fingerprint = key.fingerprint();
    if !in_settings {
        key.end_replacement(data_dir)?;
    }
    Ok((endpoints, fingerprint))
}
