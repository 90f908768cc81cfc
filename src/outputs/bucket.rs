//! A bucket of a server that speaks S3.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use secrecy::ExposeSecret;

use crate::config::BucketConfig;

/// How long the server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may be silent. There is no limit on a whole request: a film is passed on as fast
/// as its viewer reads it.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// What fails is tried again a moment later; whoever needs it for longer than that does so too.
const RETRIES_MAX: usize = 2;
const RETRY_INITIAL: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
const RETRY_TIME: Duration = Duration::from_secs(10);

/// The bucket, with the prefix of the settings before every key. Nothing is asked yet.
///
/// # Errors
/// Settings from which no client can be made.
pub(super) fn open(config: &BucketConfig) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let bucket = client(config)?;
    if config.prefix.is_empty() {
        return Ok(Arc::new(bucket));
    }
    Ok(Arc::new(PrefixStore::new(bucket, config.prefix.as_str())))
}

fn client(config: &BucketConfig) -> anyhow::Result<AmazonS3> {
    let plain = config.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let options = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout_disabled()
        .with_read_timeout(SILENCE_MAX);
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: RETRY_INITIAL, max_backoff: RETRY_MAX, base: 2.0 },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIME,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.name)
        .with_region(&config.region)
        .with_access_key_id(&config.access_key_id)
        .with_secret_access_key(config.secret_access_key.expose_secret())
        .with_virtual_hosted_style_request(!config.path_style)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(endpoint) = endpoint(config) {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build().context("cannot use the bucket of `outputs.url`")
}

/// Without the slash at its end. The client takes it as it is, so where the bucket is part of the
/// host it has to be put there.
fn endpoint(config: &BucketConfig) -> Option<String> {
    let endpoint = config.endpoint.as_ref()?;
    let mut text = endpoint.as_str().trim_end_matches('/').to_owned();
    if !config.path_style {
        let scheme = format!("{}://", endpoint.scheme());
        text = text.replacen(&scheme, &format!("{scheme}{}.", config.name), 1);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;
    use object_store::signer::Signer;
    use reqwest::Method;
    use url::Url;

    use super::*;

    fn config(endpoint: Option<&str>, path_style: bool) -> BucketConfig {
        BucketConfig {
            name: "films".to_owned(),
            prefix: String::new(),
            endpoint: endpoint.map(|endpoint| Url::parse(endpoint).unwrap()),
            region: "eu-west-1".to_owned(),
            access_key_id: "access".to_owned(),
            secret_access_key: "secret".into(),
            path_style,
        }
    }

    #[tokio::test]
    async fn buckets_stand_in_the_path_or_in_the_host() {
        for (endpoint, path_style, expected) in [
            (None, true, "https://s3.eu-west-1.amazonaws.com/films/a/0.png"),
            (None, false, "https://films.s3.eu-west-1.amazonaws.com/a/0.png"),
            (Some("https://s3.example.net"), true, "https://s3.example.net/films/a/0.png"),
            (Some("https://s3.example.net"), false, "https://films.s3.example.net/a/0.png"),
            (Some("http://[::1]:9000"), true, "http://[::1]:9000/films/a/0.png"),
        ] {
            let bucket = client(&config(endpoint, path_style)).unwrap();
            let path = Path::from("a/0.png");
            let url = bucket.signed_url(Method::GET, &path, SILENCE_MAX).await.unwrap();
            assert_eq!(url.as_str().split('?').next(), Some(expected));
        }
    }
}
