//! A model as a row of the list.

use actors::catalogue::Model;
use actors::money::Credits;
use actors::pricing::{Price, Rates};
use providers::MediaKind;
use providers::name::ProviderName;

use crate::dashboard::listing::{ListQuery, Order};

pub(super) struct Row {
    pub(super) identifier: String,
    /// The part of the identifier before the slash.
    pub(super) lab: String,
    pub(super) kind: MediaKind,
    /// What sets it apart, in a word or two each.
    pub(super) capabilities: Vec<String>,
    /// Those that run it here, in the order in which they are tried.
    pub(super) providers: Vec<&'static str>,
    /// The lowest rate, with what it is for.
    pub(super) price: String,
    cheapest: Credits,
}

impl Row {
    pub(super) fn of(model: &Model, providers: &[ProviderName]) -> Self {
        let rates = rates(model);
        let cheapest = rates.iter().map(|(_, rate)| *rate).min().unwrap_or(Credits::ZERO);
        let varies = rates.iter().any(|(_, rate)| *rate != cheapest);
        let from = if varies { "from " } else { "" };
        let (lab, _) = model.identifier.split_once('/').unwrap_or((&model.identifier, ""));
        Self {
            identifier: model.identifier.clone(),
            lab: lab.to_owned(),
            kind: model.media,
            capabilities: capabilities(model),
            providers: providers.iter().map(|name| name.as_str()).collect(),
            price: format!("{from}${cheapest} / {}", unit(model.price())),
            cheapest,
        }
    }

    /// The part of the identifier after the slash.
    pub(super) fn name(&self) -> &str {
        self.identifier.strip_prefix(&format!("{}/", self.lab)).unwrap_or_default()
    }

    pub(super) fn kind_label(&self) -> &'static str {
        match self.kind {
            MediaKind::Image => "Image",
            MediaKind::Video => "Video",
        }
    }

    pub(super) fn kind_icon(&self) -> &'static str {
        match self.kind {
            MediaKind::Image => "image",
            MediaKind::Video => "film",
        }
    }

    fn has(&self, text: &str) -> bool {
        let own = [self.identifier.as_str(), self.kind_label()].into_iter();
        let all = own.chain(self.capabilities.iter().map(String::as_str));
        all.chain(self.providers.iter().copied()).any(|field| field.to_lowercase().contains(text))
    }
}

/// Those that a search and a filter find, in order; as in the catalogue unless another order is
/// asked for.
pub(super) fn arranged(mut rows: Vec<Row>, query: &ListQuery, kind: Option<MediaKind>) -> Vec<Row> {
    rows.retain(|row| kind.is_none_or(|kind| row.kind == kind));
    if let Some(text) = query.search() {
        rows.retain(|row| row.has(&text));
    }
    let Some((column, order)) = query.order() else { return rows };
    match column {
        "model" => rows.sort_by(|a, b| a.identifier.cmp(&b.identifier)),
        "type" => rows.sort_by_key(Row::kind_label),
        "price" => rows.sort_by_key(|row| row.cheapest),
        _ => return rows,
    }
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}

/// What each choice costs.
pub(super) fn tiers(model: &Model) -> Vec<(String, String)> {
    let unit = unit(model.price());
    let line = |(name, rate): (&str, Credits)| {
        let name = name.replace("_noaudio", ", no sound").replace("_audio", ", with sound");
        let name = match name.as_str() {
            "audio" => "With sound".to_owned(),
            "noaudio" => "No sound".to_owned(),
            _ => name,
        };
        (name, format!("${rate} / {unit}"))
    };
    rates(model).into_iter().map(line).collect()
}

fn rates(model: &Model) -> Vec<(&str, Credits)> {
    match model.price().rates() {
        Rates::Flat(rate) => vec![("", *rate)],
        tiered @ (Rates::ByResolution(_) | Rates::ByAudio(_) | Rates::ByResolutionAndAudio(_)) => {
            tiered.tiers().iter().map(|(name, rate)| (name.as_str(), *rate)).collect()
        }
    }
}

fn unit(price: &Price) -> &'static str {
    match price {
        Price::PerImage(_) => "image",
        Price::PerSecond(_) => "second",
    }
}

fn capabilities(model: &Model) -> Vec<String> {
    let mut found = Vec::new();
    match (model.input_files.min, model.input_files.max) {
        (_, 0) => {}
        (0, max) => {
            found.push(format!("up to {max} input file{}", if max == 1 { "" } else { "s" }))
        }
        _ => found.push("needs an input file".to_owned()),
    }
    if model.last_frame {
        found.push("last frame".to_owned());
    }
    if let (Some(first), Some(last)) = (model.durations_ms.first(), model.durations_ms.last()) {
        let seconds = |ms: &u64| format!("{}", *ms as f64 / 1000.0);
        match first == last {
            true => found.push(format!("{} s", seconds(first))),
            false => found.push(format!("{}–{} s", seconds(first), seconds(last))),
        }
    }
    if let (Some(first), Some(last)) = (model.resolutions.first(), model.resolutions.last()) {
        match first == last {
            true => found.push(first.clone()),
            false => found.push(model.resolutions.join(", ")),
        }
    }
    if model.audio {
        found.push("sound".to_owned());
    }
    if model.output_number_max > 1 {
        found.push(format!("up to {} outputs", model.output_number_max));
    }
    found
}
