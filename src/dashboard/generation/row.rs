//! The parts of a generation as its page shows them.

use actors::account::Plan;
use actors::api_key::ApiKey;
use actors::attempt::{Attempt, AttemptOutcome};
use actors::file_urls::FileUrls;
use actors::generation::{Generation, State, Status};
use actors::ledger::{EntryKind, LedgerEntry};
use actors::ports::deliveries::LoggedDelivery;
use actors::routing::choice::Source;
use chrono::{DateTime, TimeDelta, Utc};
use providers::{DeliveryMode, MediaKind};
use serde_json::Value;

use crate::dashboard::generations::{duration, status_label, status_tone};
use crate::dashboard::webhook::DeliveryState;

/// What is known of it at a glance.
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) model: String,
    pub(super) media: &'static str,
    pub(super) provider: &'static str,
    pub(super) prediction: String,
    pub(super) key: String,
    pub(super) amount: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    pub(super) files_removed_at: Option<DateTime<Utc>>,
    pub(super) took: String,
    pub(super) inference: String,
    /// The code and the text of its failure.
    pub(super) failure: Option<(&'static str, String)>,
}

impl Facts {
    pub(super) fn of(generation: &Generation, keys: &[ApiKey]) -> Self {
        let (mut inference, mut failure) = (String::new(), None);
        match generation.state() {
            State::Succeeded { predict_time: Some(time), .. } => {
                inference = TimeDelta::from_std(*time).map(duration).unwrap_or_default();
            }
            State::Failed { failure: why, .. } => {
                failure = Some((why.code.wire_code(), why.message.clone()));
            }
            State::Succeeded { .. }
            | State::Pending
            | State::Processing { .. }
            | State::Canceled { .. } => {}
        }
        let key = generation.asked_by.key.map(|id| {
            let key = keys.iter().find(|key| key.id == id);
            key.map_or("Deleted key".to_owned(), |key| format!("{} ({}...)", key.name, key.prefix))
        });
        let took = generation.completed_at().map(|at| duration(at - generation.created_at));
        Self {
            id: generation.id.to_string(),
            status: generation.status(),
            model: generation.model.clone(),
            media: generation.media.as_str(),
            provider: generation.provider_used().map_or("", |name| name.as_str()),
            prediction: generation.job().map(|job| job.0.clone()).unwrap_or_default(),
            key: key.unwrap_or_default(),
            amount: generation.amount.to_string(),
            created_at: generation.created_at,
            started_at: generation.started_at(),
            completed_at: generation.completed_at(),
            files_removed_at: generation.files_removed_at(),
            took: took.unwrap_or_default(),
            inference,
            failure,
        }
    }

    pub(super) fn label(&self) -> &'static str {
        status_label(self.status)
    }

    pub(super) fn tone(&self) -> &'static str {
        status_tone(self.status)
    }

    /// What became of the amount.
    pub(super) fn amount_note(&self) -> &'static str {
        match self.status {
            Status::Pending | Status::Processing => "reserved",
            Status::Succeeded => "charged",
            Status::Failed | Status::Canceled => "given back",
        }
    }
}

/// A file that was made and is still there.
pub(super) struct Output {
    pub(super) url: String,
    pub(super) is_film: bool,
    pub(super) expires_at: DateTime<Utc>,
}

impl Output {
    pub(super) fn all(generation: &Generation, files: &FileUrls, plan: Plan) -> Vec<Self> {
        let Some(expires_at) = files.expires_at(generation, plan) else { return Vec::new() };
        let is_film = generation.media == MediaKind::Video;
        let output = |url| Self { url, is_film, expires_at };
        files.of(generation, plan).into_iter().map(output).collect()
    }
}

/// The fields of the request, as they are called in the API; what was left out is left out.
pub(super) fn request_fields(generation: &Generation) -> Vec<(String, String)> {
    let input = &generation.input;
    let order: Vec<&str> = input.provider_order.iter().map(|name| name.as_str()).collect();
    let files: Vec<&str> = input.input_files.iter().map(|url| url.as_str()).collect();
    let seconds = input.duration_ms.map(|ms| duration(TimeDelta::milliseconds(ms.cast_signed())));
    let fixed = [
        ("generation_prompt", Some(input.prompt.clone())),
        ("generation_ratio", Some(input.ratio.clone())),
        ("generation_output_format", Some(input.format.as_str().to_owned())),
        ("generation_output_number", Some(input.count.to_string())),
        ("generation_input_file", (!files.is_empty()).then(|| files.join("\n"))),
        ("generation_input_file_last_content", input.last_frame.as_ref().map(|it| it.to_string())),
        ("generation_duration", seconds),
        ("generation_resolution", input.resolution.clone()),
        ("generation_generate_audio", input.audio.map(|audio| audio.to_string())),
        ("generation_provider_order", Some(order.join(", "))),
    ];
    let fixed = fixed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let options = input.options.iter().filter(|(_, value)| !value.is_null());
    let options = options.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| Value::to_string(value), str::to_owned);
        (name.clone(), text)
    });
    fixed.chain(options).collect()
}

/// An attempt as a step of the timeline.
pub(super) struct AttemptRow {
    pub(super) number: u32,
    pub(super) provider: &'static str,
    pub(super) raw_model: String,
    pub(super) label: &'static str,
    pub(super) tone: &'static str,
    /// How its result comes.
    pub(super) mode: &'static str,
    /// The class of its failure, and what was said.
    pub(super) failure: Option<(&'static str, String)>,
    pub(super) submitted_at: DateTime<Utc>,
    pub(super) took: String,
    /// Why it began here, of the first one.
    pub(super) decision: &'static str,
    pub(super) estimated: String,
    pub(super) job: String,
}

/// What a provider takes from those who run the server is not in it.
impl AttemptRow {
    pub(super) fn of(attempt: &Attempt, mode: DeliveryMode) -> Self {
        let (label, tone) = match &attempt.outcome {
            AttemptOutcome::Pending => ("Running", "info"),
            AttemptOutcome::Used { .. } => ("Used", "good"),
            AttemptOutcome::Failed { .. } => ("Failed", "bad"),
            AttemptOutcome::Discarded { .. } => ("Discarded", "warning"),
            AttemptOutcome::Canceled { .. } => ("Canceled", "warning"),
        };
        let failure = match &attempt.outcome {
            AttemptOutcome::Failed { failure, .. } => {
                Some((failure.code.as_str(), failure.message.clone()))
            }
            AttemptOutcome::Pending
            | AttemptOutcome::Used { .. }
            | AttemptOutcome::Discarded { .. }
            | AttemptOutcome::Canceled { .. } => None,
        };
        let took = attempt.outcome.resolved_at().map(|at| duration(at - attempt.submitted_at));
        Self {
            number: attempt.number,
            provider: attempt.provider.as_str(),
            raw_model: attempt.raw_model.clone(),
            label,
            tone,
            mode: match mode {
                DeliveryMode::Inline => "The result comes with the answer.",
                DeliveryMode::Polling => "The result is asked for.",
                DeliveryMode::Callback => "The result comes by callback.",
            },
            failure,
            submitted_at: attempt.submitted_at,
            took: took.unwrap_or_default(),
            decision: if attempt.number == 1 {
                decision(attempt.decision.source)
            } else {
                "Failover"
            },
            estimated: millionths(attempt.estimated_cost_microcredits),
            job: attempt.job_at_provider().map(|job| job.0.clone()).unwrap_or_default(),
        }
    }
}

fn decision(source: Source) -> &'static str {
    match source {
        Source::Pinned => "Asked for",
        Source::Static => "Order of the model",
        Source::Ranking => "Ranked first",
        Source::Exploration => "Exploration",
        Source::Probe => "Probe",
        Source::Breaker => "Around an open circuit",
    }
}

/// Millionths of a dollar, exactly, and without zeros that say nothing.
fn millionths(amount: i64) -> String {
    let text = format!("{}.{:06}", amount / 1_000_000, amount.unsigned_abs() % 1_000_000);
    let (whole, rest) = text.split_at(text.len() - 3);
    format!("{whole}{}", rest.trim_end_matches('0'))
}

/// A movement of credit.
pub(super) struct EntryRow {
    pub(super) label: &'static str,
    pub(super) tone: &'static str,
    pub(super) amount: String,
    pub(super) balance: String,
    pub(super) at: DateTime<Utc>,
}

impl EntryRow {
    pub(super) fn of(entry: &LedgerEntry) -> Self {
        let (label, tone, sign) = match entry.kind {
            EntryKind::Reserve => ("Reserved", "info", ""),
            EntryKind::Charge => ("Charged", "good", "-"),
            EntryKind::Refund => ("Refunded", "bad", "+"),
            EntryKind::Add => ("Added", "special", "+"),
        };
        Self {
            label,
            tone,
            amount: format!("{sign}{}", entry.amount),
            balance: entry.balance_after.to_string(),
            at: entry.created_at,
        }
    }
}

/// What an endpoint was sent.
pub(super) struct DeliveryRow {
    /// Its details, on the page of its endpoint.
    pub(super) href: String,
    pub(super) event: &'static str,
    pub(super) label: &'static str,
    pub(super) tone: &'static str,
    pub(super) status_code: Option<u16>,
    pub(super) error: String,
    pub(super) attempts: u32,
    pub(super) at: DateTime<Utc>,
}

impl DeliveryRow {
    pub(super) fn of(logged: &LoggedDelivery, webhooks: &str) -> Self {
        let delivery = &logged.delivery;
        let state = DeliveryState::of(logged);
        Self {
            href: format!("{webhooks}/{}?dialog=delivery&id={}", delivery.endpoint_id, delivery.id),
            event: delivery.event.as_str(),
            label: state.label(),
            tone: state.tone(),
            status_code: logged.last_status,
            error: logged.last_error.clone().unwrap_or_default(),
            attempts: delivery.tries,
            at: delivery.created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_and_shares_are_short() {
        for (amount, text) in
            [(52_000, "0.052"), (0, "0.000"), (1_250_001, "1.250001"), (500, "0.0005")]
        {
            assert_eq!(millionths(amount), text);
        }
    }
}
