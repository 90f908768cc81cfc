//! What has to hold of every model that is built in.

use std::collections::BTreeSet;
use std::sync::Arc;

use actors::catalogue::Model;
use actors::catalogue::field::FieldKind;
use actors::input::Input;
use actors::pricing::{Choice, Rates};
use chrono::{DateTime, Utc};
use providers::clock::Clock;
use providers::name::ProviderName;
use providers::sandbox::{Sandbox, SandboxSettings};
use providers::{DeliveryMode, OutputFormat, Provider, Request, Submitted};
use serde_json::{Value, json};

use super::*;

/// The smallest request that the model accepts, at the length at which it can do most: labs
/// that are choosy about combinations are so about short films.
fn smallest(model: &Model) -> Value {
    let mut body = json!({ "generation_prompt": "a cat" });
    if let Some(ms) = model.durations_ms.last() {
        body["generation_duration"] = json!(*ms as f64 / 1000.0);
    }
    body["generation_input_file"] = (0..model.input_files.min)
        .map(|index| json!(format!("https://example.com/{index}.png")))
        .collect();
    body
}

fn with(model: &Model, field: &str, value: Value) -> Result<Input, String> {
    let mut body = smallest(model);
    // What breaks a rule of the lab says nothing of the field by itself.
    if model.rules.iter().any(|rule| rule.when == "generation_input_file") {
        body["generation_input_file"] = json!(["https://example.com/0.png"]);
    }
    body[field] = value;
    normalize(model, &body).map_err(|problems| format!("{problems:?}"))
}

#[test]
fn the_models_of_the_domain_are_there() {
    let catalogue = built_in(true).unwrap();
    for identifier in [
        "bfl/flux-schnell",
        "bfl/flux-1.1-pro",
        "bfl/flux-1.1-pro-ultra",
        "bfl/flux-2-pro",
        "bfl/flux-2-max",
        "bfl/flux-2-flex",
        "bfl/flux-2-klein-4b",
        "bfl/flux-2-klein-9b",
        "bytedance/seedream-4",
        "bytedance/seedream-4.5",
        "bytedance/seedream-5-lite",
        "qwen/image",
        "google/nano-banana",
        "bytedance/seedance-1-pro",
        "bytedance/seedance-1-pro-fast",
        "bytedance/seedance-1.5-pro",
        "google/veo-2",
        "kling/v1.5-pro",
    ] {
        assert!(catalogue.find(identifier).is_some(), "{identifier}");
    }
    assert!(catalogue.models().len() >= 54);
    let published: Vec<(&str, String)> = catalogue
        .models()
        .iter()
        .filter(|model| model.price_source == PriceSource::Published)
        .map(|model| (model.identifier.as_str(), format!("{:?}", model.price().rates())))
        .collect();
    let flat =
        |text: &str| format!("{:?}", Rates::Flat(actors::money::Credits::parse(text).unwrap()));
    assert_eq!(
        published,
        [("bfl/flux-schnell", flat("0.005")), ("bfl/flux-1.1-pro", flat("0.052"))]
    );
    let real = |name: &ProviderName| !name.is_sandbox();
    for name in ProviderName::ALL.iter().filter(|name| real(name)) {
        let runs = |model: &Model| model.providers().any(|other| other == *name);
        assert!(catalogue.models().iter().any(runs), "{name} runs nothing");
    }
}

#[test]
fn every_value_that_a_model_lists_is_accepted_and_can_be_done_by_its_whole_stack() {
    for model in built_in(true).unwrap().models() {
        let accepted = |field: &str, value: Value| {
            if let Err(problems) = with(model, field, value.clone()) {
                panic!("{}: {field} = {value}: {problems}", model.identifier);
            }
        };
        let all = |can: &dyn Fn(&actors::catalogue::capabilities::Capabilities) -> bool| {
            assert!(model.stack.iter().all(|offer| can(&offer.capabilities)), "{model:?}");
        };
        for ratio in &model.ratios {
            accepted("generation_ratio", json!(ratio));
            all(&|it| it.ratios.contains(ratio));
        }
        for format in &model.formats {
            accepted("generation_output_format", json!(format.as_str()));
            all(&|it| it.formats.contains(format));
        }
        for resolution in &model.resolutions {
            accepted("generation_resolution", json!(resolution));
            all(&|it| it.resolutions.contains(resolution));
        }
        for ms in &model.durations_ms {
            accepted("generation_duration", json!(*ms as f64 / 1000.0));
            all(&|it| it.durations_ms.contains(ms));
        }
        for count in 1..=model.output_number_max {
            accepted("generation_output_number", json!(count));
            all(&|it| count <= it.output_number_max);
        }
        for field in &model.fields {
            for value in edges(&field.kind) {
                accepted(&field.name, value.clone());
                all(&|it| {
                    let own = it.fields.iter().find(|own| own.name == field.name);
                    own.is_some_and(|own| own.kind.check(&value).is_empty())
                });
            }
        }
    }
}

#[test]
fn every_value_that_a_model_does_not_list_is_refused() {
    let catalogue = built_in(true).unwrap();
    let universe = |list: fn(&Model) -> Vec<String>| -> BTreeSet<String> {
        let nonsense = ["", "1:1 ", "PNG", "jpeg", "auto", "adaptive", "720P", "1024x1024", "1"];
        let known = catalogue.models().iter().flat_map(list);
        known.chain(nonsense.map(str::to_owned)).collect()
    };
    let formats = |model: &Model| -> Vec<String> {
        model.formats.iter().map(|format| format.as_str().to_owned()).collect()
    };
    type List = fn(&Model) -> Vec<String>;
    let lists: [(&str, List); 3] = [
        ("generation_ratio", |model| model.ratios.clone()),
        ("generation_output_format", formats),
        ("generation_resolution", |model| model.resolutions.clone()),
    ];
    for model in catalogue.models() {
        let refused = |field: &str, value: Value| {
            let found = with(model, field, value.clone());
            assert!(found.is_err(), "{}: {field} = {value} is accepted", model.identifier);
        };
        for (field, list) in lists {
            let own = list(model);
            for value in universe(list).into_iter().filter(|value| !own.contains(value)) {
                refused(field, json!(value));
            }
        }
        for tenths in 0..400_u64 {
            if !model.durations_ms.contains(&(tenths * 100)) {
                refused("generation_duration", json!(tenths as f64 / 10.0));
            }
        }
        refused("generation_output_number", json!(0));
        refused("generation_output_number", json!(model.output_number_max + 1));
        let files = |count: u32| {
            (0..count).map(|index| json!(format!("https://example.com/{index}"))).collect::<Value>()
        };
        refused("generation_input_file", files(model.input_files.max + 1));
        if !model.audio {
            refused("generation_generate_audio", json!(true));
        }
        if !model.last_frame {
            refused("generation_input_file_last_content", json!("https://example.com/last.png"));
        }
        for field in &model.fields {
            for value in beyond(&field.kind) {
                refused(&field.name, value);
            }
        }
        refused("generation_unheard_of", json!(1));
    }
}

#[test]
fn a_request_reserves_what_an_estimate_says_for_every_tier() {
    for model in built_in(true).unwrap().models() {
        let resolutions: Vec<Option<&str>> = match model.resolutions.is_empty() {
            true => vec![None],
            false => model.resolutions.iter().map(|tier| Some(tier.as_str())).collect(),
        };
        let sounds: &[Option<bool>] =
            if model.audio { &[None, Some(false), Some(true)] } else { &[None] };
        let mut tiers = BTreeSet::new();
        for resolution in &resolutions {
            for audio in sounds {
                for count in [1, model.output_number_max] {
                    let mut body = smallest(model);
                    body["generation_resolution"] = json!(resolution);
                    body["generation_generate_audio"] = json!(audio);
                    body["generation_output_number"] = json!(count);
                    let input = normalize(model, &body).unwrap();
                    let duration_ms = model.durations_ms.last().copied();
                    let choice = Choice { resolution: *resolution, audio: *audio, duration_ms };
                    let quote = model.quote(&choice).unwrap();
                    assert_eq!(input.amount(model), quote.total(count), "{}", model.identifier);
                    tiers.insert(quote.cost_per_generation);
                }
            }
        }
        let rates = model.price().rates().tiers();
        let distinct: BTreeSet<_> = rates.iter().map(|(_, rate)| *rate).collect();
        assert_eq!(
            tiers.len(),
            distinct.len().max(1),
            "{}: every tier is reached",
            model.identifier
        );
    }
}

struct Now;

impl Clock for Now {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_900_000_000, 0).unwrap()
    }
}

/// One that draws while the submit waits, and one that takes jobs.
fn artists() -> [Sandbox; 2] {
    let settings = SandboxSettings {
        callback_secret: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX".into(),
        submissions_log: None,
    };
    let all = Sandbox::all(settings, Arc::new(Now), reqwest::Client::new()).unwrap();
    let [inline, polling, _] = all;
    [inline, polling]
}

#[actix_web::test]
async fn the_sandbox_draws_every_ratio_and_takes_every_length() {
    let catalogue = built_in(true).unwrap();
    let of = |media: MediaKind| catalogue.models().iter().filter(move |it| it.media == media);
    let ratios = |media| of(media).flat_map(|model| &model.ratios).collect::<BTreeSet<&String>>();
    let request = |media, ratio: &str, ms: Option<u64>| Request {
        correlation: uuid::Uuid::from_u128(7),
        submitted_at: Now.now(),
        model: "their/model".to_owned(),
        media,
        prompt: "a lighthouse made of folded paper".to_owned(),
        ratio: ratio.to_owned(),
        format: if media == MediaKind::Image { OutputFormat::Jpg } else { OutputFormat::Mp4 },
        count: 1,
        input_files: Vec::new(),
        last_frame: None,
        duration_ms: ms,
        resolution: None,
        audio: None,
        options: serde_json::Map::new(),
        delivery: DeliveryMode::Inline,
        callback: None,
    };
    let [artist, patient] = artists();
    let image = ratios(MediaKind::Image).into_iter().map(|it| request(MediaKind::Image, it, None));
    // A tenth of a second shows a shape as well as a minute.
    let film =
        ratios(MediaKind::Video).into_iter().map(|it| request(MediaKind::Video, it, Some(100)));
    for request in image.chain(film) {
        match artist.submit(&request).await {
            Ok(Submitted::Done { output, .. }) => {
                let file = &output.files[0];
                let drawn =
                    matches!(file, providers::OutputFile::Bytes { bytes, .. } if !bytes.is_empty());
                assert!(drawn, "{file:?}");
            }
            other => panic!("{}: {other:?}", request.ratio),
        }
    }
    let lengths: BTreeSet<u64> =
        of(MediaKind::Video).flat_map(|model| model.durations_ms.iter().copied()).collect();
    for ms in lengths {
        // A job that is only taken shows what would be made, and is not.
        let taken = patient.submit(&request(MediaKind::Video, "16:9", Some(ms))).await;
        assert!(matches!(taken, Ok(Submitted::Job { .. })), "{ms} ms: {taken:?}");
    }
}

/// Values at the ends of what a field accepts.
fn edges(kind: &FieldKind) -> Vec<Value> {
    match kind {
        FieldKind::Integer { min, max } => vec![json!(min), json!(max)],
        FieldKind::Number { min, max } => vec![json!(min), json!(max)],
        FieldKind::Boolean => vec![json!(true), json!(false)],
        FieldKind::Text { max } => vec![json!("x"), json!("x".repeat(*max))],
        FieldKind::Enum(values) => values.iter().map(|value| json!(value)).collect(),
        FieldKind::EnumList(values) => vec![json!([]), json!(values)],
    }
}

/// Values just outside.
fn beyond(kind: &FieldKind) -> Vec<Value> {
    match kind {
        FieldKind::Integer { min, max } => vec![json!(min - 1), json!(max + 1), json!("1")],
        FieldKind::Number { min, max } => vec![json!(min - 0.01), json!(max + 0.01), json!("1")],
        FieldKind::Boolean => vec![json!("true"), json!(1)],
        FieldKind::Text { max } => vec![json!("x".repeat(max + 1)), json!(1)],
        FieldKind::Enum(_) => vec![json!("elsewhere"), json!(true)],
        FieldKind::EnumList(_) => vec![json!(["elsewhere"]), json!("elsewhere")],
    }
}
