//! `babysea actors`: the metrics of a running server as a live table.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};
use serde_json::{Map, Value, json};

use crate::cli::output::{Answer, Output, fields};
use crate::config::Config;
use crate::metrics::overview::{Samples, Section, parse, sections, shown};

/// How often the table is drawn.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What can be said to `babysea actors`.
#[derive(Debug, Args)]
pub struct ActorsArgs {
    /// Print once and end, as also happens when standard output is not a terminal
    #[arg(long)]
    once: bool,
}

/// Shows what runs until `q` or Ctrl-C is pressed.
///
/// # Errors
/// When the server's operator listener cannot be reached.
pub fn run(
    config: &Config,
    arguments: &ActorsArgs,
    output: Output,
) -> anyhow::Result<Option<Answer>> {
    let listen = config.operator.listen.context("operator.listen is turned off")?;
    let url = format!("http://{listen}/metrics");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let read = || runtime.block_on(read(&client, &url));
    if output.json || arguments.once || !std::io::stdout().is_terminal() {
        let sections = sections(&read()?);
        return Ok(Some(Answer::new(document(&sections), text(&sections))));
    }
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let ended = watch(&mut terminal, &url, read);
    ratatui::restore();
    ended.map(|()| None)
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    url: &str,
    read: impl Fn() -> anyhow::Result<Samples>,
) -> anyhow::Result<()> {
    loop {
        let seen = read().map(|samples| sections(&samples)).map_err(|error| format!("{error:#}"));
        terminal.draw(|frame| draw(frame, url, &seen))?;
        if event::poll(INTERVAL)? && is_end(&event::read()?) {
            return Ok(());
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn draw(frame: &mut Frame<'_>, url: &str, seen: &Result<Vec<Section>, String>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(format!("babysea actors   {url}"), bold), head);
    frame.render_widget(Line::styled("q ends", Style::new().fg(Color::DarkGray)), foot);
    match seen {
        Err(error) => {
            let text = Paragraph::new(error.as_str()).style(Style::new().fg(Color::Red));
            frame.render_widget(text, body);
        }
        Ok(sections) => {
            let rows = sections.iter().flat_map(|section| {
                let title = Row::new([Cell::from(section.title).style(bold), Cell::default()]);
                let values = section.values.iter().map(|(name, value)| {
                    Row::new([format!("  {name}"), format!("{:>12}", shown(*value))])
                });
                std::iter::once(title).chain(values.collect::<Vec<_>>())
            });
            let table = Table::new(rows, [Constraint::Length(34), Constraint::Length(12)])
                .block(Block::new());
            frame.render_widget(table, body);
        }
    }
}

/// Every sample of a running server.
async fn read(client: &reqwest::Client, url: &str) -> anyhow::Result<Samples> {
    let context = || format!("cannot reach a server at {url}; is it running?");
    let answer = client.get(url).send().await.with_context(context)?;
    Ok(parse(&answer.error_for_status()?.text().await?))
}

fn document(sections: &[Section]) -> Value {
    let values = |section: &Section| -> Map<String, Value> {
        section.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    sections.iter().map(|section| (section.key.to_owned(), json!(values(section)))).collect()
}

fn text(sections: &[Section]) -> String {
    let section = |section: &Section| {
        let values: Vec<(&str, String)> =
            section.values.iter().map(|(name, value)| (name.as_str(), shown(*value))).collect();
        format!("{}\n{}", section.title, fields(&values))
    };
    sections.iter().map(section).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_made_of_the_metrics() {
        let text = "# TYPE babysea_generation_actors_alive gauge\n\
            babysea_generation_actors_alive 3\n\
            babysea_generation_actors_started_total 5\n\
            babysea_attempts_total{provider=\"sandbox_inline\",outcome=\"used\"} 2\n\
            babysea_commit_units_sum 9.0\nbabysea_commit_units_count 3\n# EOF\n";
        let document = document(&sections(&parse(text)));
        assert_eq!(document["generation_actors"]["alive"], 3.0);
        assert_eq!(document["generation_actors"]["started"], 5.0);
        assert_eq!(document["attempts"]["sandbox_inline used"], 2.0);
        assert_eq!(document["commits"]["mean_units"], 3.0);
    }
}
