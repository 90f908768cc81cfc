//! How names of the provider port are written into a stored input: as in the contract.

/// An output format.
pub(super) mod format {
    use providers::OutputFormat;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        format: &OutputFormat,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(format.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<OutputFormat, D::Error> {
        let text = String::deserialize(from)?;
        OutputFormat::parse(&text).ok_or_else(|| D::Error::custom("unknown output format"))
    }
}

/// A list of providers.
pub(super) mod providers {
    use providers::name::ProviderName;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        names: &[ProviderName],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(names.iter().map(|name| name.as_str()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<ProviderName>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let known = |text: &String| ProviderName::parse(text);
        let names: Option<Vec<ProviderName>> = texts.iter().map(known).collect();
        names.ok_or_else(|| D::Error::custom("unknown provider"))
    }
}
