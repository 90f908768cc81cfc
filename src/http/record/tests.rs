use actors::account::Plan;

use super::super::samples;
use super::*;

fn rendered(generation: &Generation, has_last_frame: bool) -> String {
    let files = samples::file_urls().of(generation, Plan::Pro);
    let record = record(generation, &files, has_last_frame);
    // One field per line, in their order.
    let fields = record.as_object().unwrap().iter();
    fields.map(|(field, value)| format!("{field}: {value}\n")).collect()
}

const HEAD: &str = r#"account_id: "3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904"
generation_id: "b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713"
model_identifier: "bfl/flux-schnell"
generation_provider_order: ["fal","replicate","cloudflare"]
"#;

const INPUTS: &str = r#"generation_prompt: "a lighthouse made of folded paper"
generation_ratio: "16:9"
generation_output_format: "webp"
generation_output_number: 1
generation_input_file: null
generation_seed: null
"#;

#[test]
fn pending() {
    let expected = r#"generation_provider_used: null
generation_prediction_id: null
generation_status: "pending"
"#;
    let outputs = r#"generation_output_file: null
generation_created_at: "2026-06-02T08:15:10.802Z"
generation_started_at: null
generation_completed_at: null
generation_metrics_total_time: null
generation_metrics_predict_time: null
"#;
    let found = rendered(&samples::pending(), false);
    assert_eq!(found, [HEAD, expected, INPUTS, outputs].concat());
}

#[test]
fn processing() {
    let expected = r#"generation_provider_used: null
generation_prediction_id: "pj-5520ce1b"
generation_status: "processing"
"#;
    let outputs = r#"generation_output_file: null
generation_created_at: "2026-06-02T08:15:10.802Z"
generation_started_at: "2026-06-02T08:15:11.064Z"
generation_completed_at: null
generation_metrics_total_time: null
generation_metrics_predict_time: null
"#;
    let found = rendered(&samples::processing(), false);
    assert_eq!(found, [HEAD, expected, INPUTS, outputs].concat());
}

#[test]
fn succeeded_is_the_example_of_the_contract() {
    let expected = r#"generation_provider_used: "fal"
generation_prediction_id: "pj-5520ce1b"
generation_status: "succeeded"
"#;
    let outputs = r#"generation_output_file: ["https://files.example.net/files/us/b7d2f0a4/0.webp?expires=1780474513&signature=806109bcb85ac28a1282002f0e49ec18"]
generation_created_at: "2026-06-02T08:15:10.802Z"
generation_started_at: "2026-06-02T08:15:11.064Z"
generation_completed_at: "2026-06-02T08:15:13.447Z"
generation_metrics_total_time: 2.645
generation_metrics_predict_time: 1.912
"#;
    let found = rendered(&samples::succeeded(), false);
    assert_eq!(found, [HEAD, expected, INPUTS, outputs].concat());
}

#[test]
fn without_its_files_it_says_so_and_links_to_none() {
    let found = rendered(&samples::removed(), false);
    assert!(found.contains("generation_output_file: null\n"), "{found}");
    assert!(found.contains("generation_status: \"succeeded\"\n"), "{found}");
    assert!(found.ends_with("generation_removed: true\n"), "{found}");
}

#[test]
fn canceled_has_times_but_no_metrics_and_no_provider() {
    let expected = r#"generation_provider_used: null
generation_prediction_id: "pj-5520ce1b"
generation_status: "canceled"
"#;
    let outputs = r#"generation_output_file: null
generation_created_at: "2026-06-02T08:15:10.802Z"
generation_started_at: "2026-06-02T08:15:11.064Z"
generation_completed_at: "2026-06-02T08:15:11.802Z"
generation_metrics_total_time: null
generation_metrics_predict_time: null
"#;
    let found = rendered(&samples::canceled(), false);
    assert_eq!(found, [HEAD, expected, INPUTS, outputs].concat());
}

#[test]
fn a_failed_video_shows_every_field() {
    let rest = r#"generation_provider_used: "fal"
generation_prediction_id: "pj-5520ce1b"
generation_status: "failed"
generation_prompt: "a lighthouse made of folded paper"
generation_ratio: "16:9"
generation_output_format: "mp4"
generation_output_number: 1
generation_input_file: ["https://files.example.net/first.png"]
generation_input_file_last_content: "https://files.example.net/last.png"
generation_seed: 7
generation_output_file: null
generation_created_at: "2026-06-02T08:15:10.802Z"
generation_started_at: "2026-06-02T08:15:11.064Z"
generation_completed_at: "2026-06-02T08:15:15.802Z"
generation_metrics_total_time: 5.0
generation_metrics_predict_time: 4.738
generation_duration: 5
generation_resolution: "720p"
generation_generate_audio: true
generation_audio_mode: "audio"
generation_error: "The provider did not answer in time."
generation_error_code: "BSE4001"
"#;
    assert_eq!(rendered(&samples::failed_video(), true), [HEAD, rest].concat());
}

#[test]
fn the_schema_is_complete_also_where_nothing_was_given() {
    let found = rendered(&samples::pending(), true);
    assert!(found.contains("generation_input_file_last_content: null\n"), "{found}");
}

#[test]
fn whole_seconds_are_whole_numbers() {
    assert_eq!(seconds(5000).to_string(), "5");
    assert_eq!(seconds(5400).to_string(), "5.4");
}
