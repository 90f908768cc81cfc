//! Reading values of the domain from the command line.

use std::net::IpAddr;

use actors::account::{AccountKind, Plan};
use actors::api_key::Preset;
use actors::id::{AccountId, ApiKeyId, DeliveryId, EndpointId, GenerationId, NotificationId};
use actors::money::{Credits, MoneyError};
use actors::ports::deliveries::LogFilter;
use actors::webhook::EventName;
use chrono::{DateTime, SubsecRound, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};

const ID: &str = "an id looks like 0198c0de-7a10-7000-8000-00000000002a";

pub(crate) fn account_id(text: &str) -> Result<AccountId, &'static str> {
    AccountId::parse(text).ok_or(ID)
}

pub(crate) fn key_id(text: &str) -> Result<ApiKeyId, &'static str> {
    ApiKeyId::parse(text).ok_or(ID)
}

pub(crate) fn endpoint_id(text: &str) -> Result<EndpointId, &'static str> {
    EndpointId::parse(text).ok_or(ID)
}

pub(crate) fn delivery_id(text: &str) -> Result<DeliveryId, &'static str> {
    DeliveryId::parse(text).ok_or(ID)
}

pub(crate) fn notification_id(text: &str) -> Result<NotificationId, &'static str> {
    NotificationId::parse(text).ok_or(ID)
}

pub(crate) fn generation_id(text: &str) -> Result<GenerationId, &'static str> {
    GenerationId::parse(text).ok_or(ID)
}

pub(crate) fn credits(text: &str) -> Result<Credits, MoneyError> {
    Credits::parse(text)
}

/// An amount that must not be passed, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Option<Credits>);

pub(crate) fn limit(text: &str) -> Result<Limit, MoneyError> {
    match text {
        "none" => Ok(Limit(None)),
        amount => Credits::parse(amount).map(|amount| Limit(Some(amount))),
    }
}

pub(crate) fn ip(text: &str) -> Result<IpAddr, &'static str> {
    let ip: IpAddr = text.trim().parse().map_err(|_| "not one IPv4 or IPv6 address")?;
    Ok(ip.to_canonical())
}

pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let time = DateTime::parse_from_rfc3339(text);
    let time = time.map_err(|_| "a time looks like 2027-01-31T00:00:00Z")?;
    // As exact as both databases keep it.
    Ok(time.to_utc().trunc_subsecs(6))
}

pub(crate) fn account_kind() -> impl TypedValueParser<Value = AccountKind> {
    one_of(AccountKind::ALL.map(AccountKind::as_str), AccountKind::parse)
}

pub(crate) fn plan() -> impl TypedValueParser<Value = Plan> {
    one_of(Plan::ALL.map(Plan::as_str), Plan::parse)
}

pub(crate) fn preset() -> impl TypedValueParser<Value = Preset> {
    one_of(Preset::ALL.map(Preset::as_str), Preset::parse)
}

pub(crate) fn event() -> impl TypedValueParser<Value = EventName> {
    let names = EventName::ALL.into_iter().filter(|event| event.is_subscribable());
    let names: Vec<&'static str> = names.map(EventName::as_str).collect();
    one_of(names, EventName::parse)
}

pub(crate) fn log_filter() -> impl TypedValueParser<Value = LogFilter> {
    one_of(LogFilter::ALL.map(LogFilter::as_str), LogFilter::parse)
}

/// One of a closed list, which is then shown in the help and in the refusal of anything else.
fn one_of<T>(
    names: impl IntoIterator<Item = &'static str>,
    parse: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names)
        .map(move |name| parse(&name).expect("every name in the list can be read"))
}
