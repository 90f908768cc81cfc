//! `babysea audit`

use serde_json::{Value, json};

use crate::cli::output::{Answer, table};
use crate::config::Config;
use crate::identity::Context;
use crate::store::audit::audit;

/// Checks everything.
pub(crate) async fn run(context: &Context, config: &Config) -> anyhow::Result<Answer> {
    let tries_max = config.webhooks.policy.tries_max();
    let report = audit(&context.store, tries_max).await?;
    let checked: Vec<String> = report
        .checked
        .iter()
        .map(|(table, rows)| format!("{rows} {}", table.replace('_', " ")))
        .collect();
    let checked = checked.join(", ");
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "invariant": finding.invariant,
                "subject": finding.subject,
                "detail": finding.detail,
            })
        })
        .collect();
    let counts: serde_json::Map<String, Value> =
        report.checked.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
    let ok = report.findings.is_empty();
    let document = json!({ "ok": ok, "findings": findings, "checked": counts });
    if ok {
        return Ok(Answer::new(document, format!("Every invariant holds: {checked}.")));
    }
    let rows: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            [finding.invariant.to_owned(), finding.subject.clone(), finding.detail.clone()]
        })
        .collect();
    let text = table(["INVARIANT", "SUBJECT", "FOUND"], &rows, "");
    Ok(Answer::new(document, format!("{text}\nChecked {checked}.")).failed())
}
