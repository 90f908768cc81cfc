//! One file out of the network, into memory.

use bytes::Bytes;
use reqwest::header::ACCEPT;
use url::Url;

use super::Fault;
use crate::address_guard::{CallFailure, Policy, check_url, client_builder};

pub(super) struct Download {
    http: reqwest::Client,
    policy: Policy,
    bytes_max: usize,
}

impl Download {
    pub(super) fn new(policy: Policy, bytes_max: usize) -> Result<Self, reqwest::Error> {
        // Every file is another stranger's: a connection that is kept is kept for nobody.
        let http = client_builder(policy).pool_max_idle_per_host(0).build()?;
        Ok(Self { http, policy, bytes_max })
    }

    /// Whether a URL may be asked at all. Nothing is sent for it yet.
    pub(super) fn judge(&self, url: &Url) -> Result<Url, Fault> {
        check_url(url.as_str(), self.policy).map_err(Fault::Url)
    }

    /// Fetches a file that [`Download::judge`] has allowed, up to the limit, whatever its
    /// length is said to be.
    pub(super) async fn fetch(&self, url: Url) -> Result<Bytes, Fault> {
        let failed = |error: reqwest::Error| Fault::from(CallFailure::of(&error));
        let request = self.http.get(url).header(ACCEPT, "image/jpeg, image/png, image/webp");
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Fault::Redirect);
        }
        if !status.is_success() {
            return Err(Fault::Status(status.as_u16()));
        }
        let too_many = Fault::Bytes { max: self.bytes_max };
        // A length that fits is believed: what is not filled takes no memory.
        let announced = usize::try_from(response.content_length().unwrap_or_default());
        let announced = announced.ok().filter(|length| *length <= self.bytes_max);
        let mut bytes = Vec::with_capacity(announced.ok_or(too_many)?);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > self.bytes_max {
                return Err(too_many);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }
}
