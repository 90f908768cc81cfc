//! `babysea generation …`

use actors::attempt::{Attempt, AttemptOutcome};
use actors::generation::{Generation, State};
use actors::id::GenerationId;
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::output::{Answer, fields, number, table, time, time_or};
use crate::cli::parse;
use crate::identity::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum GenerationCommand {
    /// Show a generation with its attempts
    #[command(
        after_help = "Example: babysea generation show --id 0198c0de-7a10-7000-8000-00000000002a"
    )]
    Show {
        /// The generation
        #[arg(long, value_parser = parse::generation_id)]
        id: GenerationId,
    },
}

impl GenerationCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Answer> {
        let Self::Show { id } = self;
        let generation = context.store.find_any_account(id).await?;
        let generation = generation.context("no such generation")?;
        Ok(Answer::new(document(&generation), text(&generation)))
    }
}

fn document(generation: &Generation) -> Value {
    let (outputs, failure, predict_time) = match generation.state() {
        State::Succeeded { outputs, predict_time, .. } => (outputs.as_slice(), None, *predict_time),
        State::Failed { failure, .. } => (&[][..], Some(failure), None),
        State::Pending | State::Processing { .. } | State::Canceled { .. } => (&[][..], None, None),
    };
    let outputs: Vec<Value> =
        outputs.iter().map(|file| json!({ "key": file.key, "bytes": file.bytes })).collect();
    let attempts: Vec<Value> = generation.attempts().iter().map(attempt_document).collect();
    json!({
        "generation_id": generation.id,
        "account_id": generation.account_id,
        "model_identifier": generation.model,
        "media": generation.media.as_str(),
        "generation_status": generation.status().as_str(),
        "generation_provider_used": generation.provider_used().map(|name| name.as_str()),
        "generation_prediction_id": generation.job().map(|job| job.0.as_str()),
        "generation_error": failure.map(|failure| failure.message.as_str()),
        "generation_error_code": failure.map(|failure| failure.code.wire_code()),
        "prompt": generation.input.prompt,
        "amount": number(generation.amount),
        "catalogue_version": generation.pricing.catalogue_version,
        "cost_per_output": generation.pricing.cost_per_output.to_string(),
        "price_source": generation.pricing.source.as_str(),
        "apikey_id": generation.asked_by.key,
        "epoch": generation.epoch,
        "created_at": time(generation.created_at),
        "deadline_at": time(generation.deadline_at),
        "due_at": generation.due_at().map(time),
        "started_at": generation.started_at().map(time),
        "completed_at": generation.completed_at().map(time),
        "predict_time_ms": predict_time.map(|time| time.as_millis() as u64),
        "outputs": outputs,
        "files_removed_at": generation.files_removed_at().map(time),
        "attempts": attempts,
    })
}

fn attempt_document(attempt: &Attempt) -> Value {
    let failure = match &attempt.outcome {
        AttemptOutcome::Failed { failure, .. } => Some(failure),
        AttemptOutcome::Pending
        | AttemptOutcome::Used { .. }
        | AttemptOutcome::Discarded { .. }
        | AttemptOutcome::Canceled { .. } => None,
    };
    json!({
        "attempt": attempt.number,
        "provider": attempt.provider.as_str(),
        "raw_model_id": attempt.raw_model,
        "outcome": attempt.outcome.wire_str(),
        "decided_by": attempt.decision.source.as_str(),
        "propensity": attempt.decision.propensity_ppm.map(|ppm| f64::from(ppm) / 1_000_000.0),
        "estimated_cost": attempt.estimated_cost_microcredits as f64 / 1_000_000.0,
        "provider_cost": attempt.provider_cost.map(|cost| cost.cost.0 as f64 / 1_000_000.0),
        "provider_cost_source": attempt.provider_cost.map(|cost| cost.source.as_str()),
        "prediction_id": attempt.job.as_ref().map(|job| job.0.as_str()),
        "submitted_at": time(attempt.submitted_at),
        "deadline_at": time(attempt.deadline_at),
        "resolved_at": attempt.outcome.resolved_at().map(time),
        "error_code": failure.map(|failure| failure.code.wire_code()),
        "error": failure.map(|failure| failure.message.as_str()),
    })
}

/// Why the generation begins at this provider and, with the first attempt, how likely that was.
fn decided_by(attempt: &Attempt) -> String {
    let source = attempt.decision.source.as_str();
    match attempt.decision.propensity_ppm {
        Some(ppm) => format!("{source} {:.1} %", f64::from(ppm) / 10_000.0),
        None => source.to_owned(),
    }
}

fn text(generation: &Generation) -> String {
    let status = match generation.state() {
        State::Failed { failure, .. } => {
            format!("failed: {} {}", failure.code.wire_code(), failure.message)
        }
        State::Pending
        | State::Processing { .. }
        | State::Succeeded { .. }
        | State::Canceled { .. } => generation.status().as_str().to_owned(),
    };
    let head = fields(&[
        ("Generation", generation.id.to_string()),
        ("Account", generation.account_id.to_string()),
        ("Model", generation.model.clone()),
        ("Status", status),
        ("Amount", generation.amount.to_string()),
        ("Created", time(generation.created_at)),
        ("Started", time_or(generation.started_at(), "not yet")),
        ("Completed", time_or(generation.completed_at(), "not yet")),
        ("Deadline", time(generation.deadline_at)),
        ("Epoch", generation.epoch.to_string()),
    ]);
    let mut text = head + "\n";
    if let State::Succeeded { outputs, .. } = generation.state() {
        let rows: Vec<_> =
            outputs.iter().map(|file| [file.key.clone(), file.bytes.to_string()]).collect();
        text += &table(["OUTPUT", "BYTES"], &rows, "");
        text.push('\n');
        if let Some(removed_at) = generation.files_removed_at() {
            text += &format!("Removed at {}\n\n", time(removed_at));
        }
    }
    let rows: Vec<_> = generation
        .attempts()
        .iter()
        .map(|attempt| {
            let failure = match &attempt.outcome {
                AttemptOutcome::Failed { failure, .. } => failure.to_string(),
                AttemptOutcome::Pending
                | AttemptOutcome::Used { .. }
                | AttemptOutcome::Discarded { .. }
                | AttemptOutcome::Canceled { .. } => String::new(),
            };
            [
                attempt.number.to_string(),
                attempt.provider.to_string(),
                attempt.outcome.wire_str().to_owned(),
                decided_by(attempt),
                attempt.provider_cost.map_or_else(
                    || "unknown".to_owned(),
                    |cost| format!("{:.6}", cost.cost.0 as f64 / 1_000_000.0),
                ),
                attempt.job.as_ref().map_or_else(|| "unknown".to_owned(), |job| job.0.clone()),
                time(attempt.submitted_at),
                time_or(attempt.outcome.resolved_at(), ""),
                failure,
            ]
        })
        .collect();
    let titles = [
        "ATTEMPT",
        "PROVIDER",
        "OUTCOME",
        "DECIDED BY",
        "COST (USD)",
        "PREDICTION",
        "SUBMITTED",
        "RESOLVED",
        "ERROR",
    ];
    text + &table(titles, &rows, "No provider was asked.")
}
