//! `babysea bench dashboard`.

use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use clap::Args;
use tokio::sync::oneshot;

use super::settings;
use crate::app;
use crate::bench::dashboard::{DashboardReport, fill, measure};
use crate::cli::output::{Answer, table};

/// What a page should not take longer than, and not weigh more than.
const AIM_MS: f64 = 20.0;
const AIM_KIB: f64 = 100.0;

/// How much, and how long.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// Generations of the account, and as many requests in its log
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    generations: u32,
    /// Seconds for each page
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
}

pub(super) async fn run(directory: &Path, arguments: &DashboardArgs) -> anyhow::Result<Answer> {
    let config = settings(directory)?;
    let product = app::start(&config).await?;
    let context = product.identity(&config);
    let past = fill(&context, arguments.generations).await;
    drop(context);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let (address, bare) = (product.address, listener.local_addr()?);
    let server = HttpServer::new(|| App::new().default_service(web::to(HttpResponse::Ok)))
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    let turn = Duration::from_secs(u64::from(arguments.seconds));
    let (done, measured) = oneshot::channel();
    let past = past?;
    std::thread::spawn(move || {
        // Whoever waited is gone only when the process is.
        let _ = done.send(measure(&past, address, bare, turn));
    });
    let report = measured.await.context("the load generator ended")?;
    handle.stop(false).await;
    product.stop().await;
    let report = report?;
    let text = text(&report);
    Ok(Answer::new(serde_json::to_value(&report)?, text))
}

fn text(report: &DashboardReport) -> String {
    let rows = report.pages.iter().map(|page| {
        let late = page.p99_ms > AIM_MS || page.plain_kib > AIM_KIB;
        [
            if page.page.is_empty() { "(metrics)".to_owned() } else { page.page.clone() },
            format!("{:.2} ms", page.p50_ms),
            format!("{:.2} ms", page.p99_ms),
            format!("{:.0}", page.ratio),
            format!("{:.1} KiB", page.plain_kib),
            format!("{:.1} KiB", page.gzip_kib),
            if late { "above the aim".to_owned() } else { String::new() },
        ]
    });
    let head = ["PAGE", "P50", "P99", "TO BARE", "PLAIN", "GZIP", ""];
    format!(
        "{} generations and as many requests; bare handler p50 {:.3} ms, p99 {:.3} ms; aims {AIM_MS} ms and {AIM_KIB} KiB\n{}",
        report.generations,
        report.bare_p50_ms,
        report.bare_p99_ms,
        table(head, &rows.collect::<Vec<_>>(), "No pages.")
    )
}
