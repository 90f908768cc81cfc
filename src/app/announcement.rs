//! What a server that has started says on standard output.

use std::io::Write;

use providers::adapter::ADAPTERS;
use providers::name::ProviderName;
use serde_json::json;

use crate::app::Running;

impl Running {
    /// Says where the server is, which providers it asks and, the first time, what its key is:
    /// for people, or as one line of JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn announce(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match as_json {
            true => self.write_json(&mut out)?,
            false => self.write_text(&mut out)?,
        }
        Ok(out.flush()?)
    }

    fn write_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        let key = self.first_key.as_ref();
        let providers: Vec<&str> = self.providers.iter().map(|name| name.as_str()).collect();
        let ready = json!({
            "url": self.url,
            "listen_url": format!("http://{}", self.address),
            "operator_url": self.operator_url(),
            "providers": providers,
            "emulator_url": self.emulator_url(),
            "account_id": key.map(|key| key.key.account_id),
            "apikey_id": key.map(|key| key.key.id),
            "apikey": key.map(|key| key.plain.expose()),
            "first_link": self.first_link,
        });
        writeln!(out, "{ready}")
    }

    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "babysea {version} listens on {}", self.url)?;
        if let Some(url) = self.operator_url() {
            writeln!(out, "metrics for the operator: {url}/metrics")?;
        }
        match self.emulator_url() {
            Some(url) => writeln!(
                out,
                "no provider has an API key: the emulator at {url} stands in for all of them, \
                 outputs are drawn and nobody bills anything"
            )?,
            None => self.write_providers(out)?,
        }
        if let Some(key) = &self.first_key {
            let (key, url) = (key.plain.expose(), &self.url);
            writeln!(
                out,
                "\nA first account was made, with 1.000 credit and this key, which is shown once:\
                 \n\n    {key}\n\nTry it:\n\n    \
                 curl -s {url}/v1/generate/image/sandbox/inline \\\n      \
                 -H 'Authorization: Bearer {key}' \\\n      \
                 -H 'Content-Type: application/json' \\\n      \
                 -d '{{\"generation_prompt\": \"a lighthouse made of folded paper\"}}'\n"
            )?;
        }
        if let Some(link) = &self.first_link {
            writeln!(
                out,
                "\nNobody can sign in yet. Whoever opens this link owns the server:\n\n    {link}\n"
            )?;
        }
        Ok(())
    }

    fn write_providers(&self, out: &mut impl Write) -> std::io::Result<()> {
        let list = |names: Vec<ProviderName>| match names.as_slice() {
            [] => "none".to_owned(),
            names => names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
        };
        let all = ADAPTERS.iter().map(|adapter| adapter.name);
        let absent = list(all.filter(|name| !self.providers.contains(name)).collect());
        let asked = list(self.providers.clone());
        writeln!(out, "providers: {asked}; not asked, without an API key: {absent}")
    }

    fn operator_url(&self) -> Option<String> {
        self.operator_address.map(|address| format!("http://{address}"))
    }

    fn emulator_url(&self) -> Option<String> {
        self.emulator.as_ref().map(|emulator| format!("http://{}", emulator.address))
    }
}
