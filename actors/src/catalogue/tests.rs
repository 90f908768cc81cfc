//! What a catalogue must look like, one mistake at a time.

use std::collections::BTreeMap;

use providers::MediaKind;
use serde_json::json;

use super::*;
use crate::catalogue::field::FieldKind;
use crate::catalogue::spec::{FieldSpec, OfferSpec, Place, PriceSpec};
use crate::money::Credits;
use crate::pricing::Rates;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn stack(providers: &[&str]) -> Vec<OfferSpec> {
    let offer = |name: &&str| OfferSpec {
        provider: (*name).to_owned(),
        raw_model_id: "their/model".to_owned(),
    };
    providers.iter().map(offer).collect()
}

fn image() -> ModelSpec {
    ModelSpec {
        place: Place { file: "lab.toml".to_owned(), line: Some(7) },
        identifier: "lab/image".to_owned(),
        media: Some("image".to_owned()),
        price: Some(PriceSpec::Flat(0.052)),
        price_source: Some("published".to_owned()),
        stack: stack(&["bfl", "replicate", "fal"]),
        ratios: texts(&["1:1", "16:9"]),
        formats: texts(&["png", "jpg"]),
        output_number_max: 1,
        input_files_min: 0,
        input_files_max: 1,
        last_frame: false,
        durations: Vec::new(),
        resolutions: Vec::new(),
        audio: false,
        fields: Vec::new(),
    }
}

fn video() -> ModelSpec {
    ModelSpec {
        identifier: "lab/video".to_owned(),
        media: Some("video".to_owned()),
        price: tiers(&[
            ("480p_noaudio", 0.02),
            ("480p_audio", 0.03),
            ("720p_noaudio", 0.041),
            ("720p_audio", 0.062),
        ]),
        formats: texts(&["mp4"]),
        durations: vec![4.0, 6.0, 8.0],
        resolutions: texts(&["720p", "480p"]),
        audio: true,
        last_frame: true,
        ..image()
    }
}

fn tiers(rates: &[(&str, f64)]) -> Option<PriceSpec> {
    let rates = rates.iter().map(|(key, rate)| ((*key).to_owned(), *rate));
    Some(PriceSpec::Tiers(rates.collect::<BTreeMap<String, f64>>()))
}

fn field(kind: &str) -> FieldSpec {
    FieldSpec {
        name: "generation_thing".to_owned(),
        kind: kind.to_owned(),
        min: None,
        max: None,
        values: None,
        default: None,
    }
}

fn with_field(spec: FieldSpec) -> ModelSpec {
    ModelSpec { fields: vec![spec], ..image() }
}

/// The fields of the problems, in order.
fn faults(specs: Vec<ModelSpec>) -> Vec<String> {
    let problems = Catalogue::build(specs).unwrap_err();
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn a_valid_catalogue_is_found_by_identifier_and_kept_in_order() {
    let catalogue = Catalogue::build(vec![video(), image()]).unwrap();
    let order: Vec<&str> = catalogue.models().iter().map(|m| m.identifier.as_str()).collect();
    assert_eq!(order, ["lab/video", "lab/image"]);
    let model = catalogue.find("lab/video").unwrap();
    assert_eq!(model.media, MediaKind::Video);
    assert_eq!(model.durations_ms, [4000, 6000, 8000]);
    assert_eq!(model.specific_schema(), ["generation_input_file_last_content"]);
    assert_eq!(catalogue.find("lab/other"), None);
    assert_eq!(catalogue.find("LAB/video"), None);
}

#[test]
fn tiers_follow_the_order_of_the_resolutions_and_the_first_is_the_default() {
    let catalogue = Catalogue::build(vec![video()]).unwrap();
    let model = &catalogue.models()[0];
    let keys: Vec<&str> = model.price().rates().tiers().iter().map(|t| t.0.as_str()).collect();
    assert_eq!(keys, ["720p_noaudio", "720p_audio", "480p_noaudio", "480p_audio"]);
    let choice = Choice { duration_ms: Some(6000), audio: Some(true), resolution: None };
    let quote = model.quote(&choice).unwrap();
    assert_eq!(quote.cost_per_generation, Credits::parse("0.372").unwrap());
}

#[test]
fn every_kind_of_price_is_told_from_its_keys() {
    let kinds = [
        (ModelSpec { price: Some(PriceSpec::Flat(0.5)), ..video() }, "flat"),
        (ModelSpec { price: tiers(&[("720p", 0.5), ("480p", 0.4)]), ..video() }, "resolution"),
        (ModelSpec { price: tiers(&[("audio", 0.5), ("noaudio", 0.4)]), ..video() }, "audio"),
        (video(), "both"),
        (
            ModelSpec { price: tiers(&[("1MP", 0.1)]), resolutions: texts(&["1MP"]), ..image() },
            "resolution",
        ),
    ];
    for (spec, expected) in kinds {
        let catalogue = Catalogue::build(vec![spec]).unwrap();
        let kind = match catalogue.models()[0].price().rates() {
            Rates::Flat(_) => "flat",
            Rates::ByResolution(_) => "resolution",
            Rates::ByAudio(_) => "audio",
            Rates::ByResolutionAndAudio(_) => "both",
        };
        assert_eq!(kind, expected);
    }
}

#[test]
fn the_version_changes_with_the_content_and_with_nothing_else() {
    let version = |spec| Catalogue::build(vec![spec]).unwrap().version().to_owned();
    assert_eq!(version(image()).len(), 12);
    let elsewhere = Place { file: "other.toml".to_owned(), line: None };
    assert_eq!(version(image()), version(ModelSpec { place: elsewhere, ..image() }));
    let dearer = ModelSpec { price: Some(PriceSpec::Flat(0.053)), ..image() };
    assert_ne!(version(image()), version(dearer));
}

#[test]
fn every_mistake_names_its_file_model_and_field() {
    let spec = ModelSpec { ratios: texts(&["wide"]), formats: texts(&["gif"]), ..image() };
    let lines: Vec<String> =
        Catalogue::build(vec![spec]).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "lab.toml:7: lab/image: ratios: `wide` is not a ratio such as 16:9",
            "lab.toml:7: lab/image: formats: `gif` is no known format",
        ]
    );
}

#[test]
fn each_mistake_in_a_model_is_found() {
    let none = Vec::<String>::new;
    let cases: Vec<(&str, ModelSpec)> = vec![
        ("identifier", ModelSpec { identifier: "image".into(), ..image() }),
        ("identifier", ModelSpec { identifier: "lab/a/b".into(), ..image() }),
        ("identifier", ModelSpec { identifier: "lab/".into(), ..image() }),
        ("identifier", ModelSpec { identifier: "Lab/image".into(), ..image() }),
        ("identifier", ModelSpec { identifier: "lab/..".into(), ..image() }),
        ("identifier", ModelSpec { identifier: format!("lab/{}", "a".repeat(100)), ..image() }),
        ("media", ModelSpec { media: None, ..image() }),
        ("media", ModelSpec { media: Some("sound".into()), ..image() }),
        ("price_source", ModelSpec { price_source: None, ..image() }),
        ("price_source", ModelSpec { price_source: Some("guess".into()), ..image() }),
        ("stack", ModelSpec { stack: Vec::new(), ..image() }),
        ("stack", ModelSpec { stack: stack(&["bfl", "bfl"]), ..image() }),
        ("stack", ModelSpec { stack: stack(&["google"]), ..image() }),
        (
            "stack",
            ModelSpec {
                stack: vec![OfferSpec { provider: "bfl".into(), raw_model_id: String::new() }],
                ..image()
            },
        ),
        ("ratios", ModelSpec { ratios: none(), ..image() }),
        ("ratios", ModelSpec { ratios: texts(&["1:1", "1:1"]), ..image() }),
        ("ratios", ModelSpec { ratios: texts(&["16x9"]), ..image() }),
        ("ratios", ModelSpec { ratios: texts(&["0:1"]), ..image() }),
        ("ratios", ModelSpec { ratios: texts(&["1280:720"]), ..image() }),
        ("ratios", ModelSpec { ratios: texts(&["1:1:1"]), ..image() }),
        ("formats", ModelSpec { formats: none(), ..image() }),
        ("formats", ModelSpec { formats: texts(&["jpeg"]), ..image() }),
        ("formats", ModelSpec { formats: texts(&["mp4"]), ..image() }),
        ("formats", ModelSpec { formats: texts(&["png"]), ..video() }),
        ("formats", ModelSpec { formats: texts(&["png", "png"]), ..image() }),
        ("output_number_max", ModelSpec { output_number_max: 0, ..image() }),
        ("output_number_max", ModelSpec { output_number_max: 101, ..image() }),
        ("input_files_max", ModelSpec { input_files_max: 1000, ..image() }),
        ("input_files_min", ModelSpec { input_files_min: 2, ..image() }),
        ("durations", ModelSpec { durations: vec![5.0], ..image() }),
        ("durations", ModelSpec { durations: Vec::new(), ..video() }),
        ("durations", ModelSpec { durations: vec![5.0, 5.0], ..video() }),
        ("durations", ModelSpec { durations: vec![0.0], ..video() }),
        ("durations", ModelSpec { durations: vec![-1.0], ..video() }),
        ("durations", ModelSpec { durations: vec![5.0001], ..video() }),
        ("durations", ModelSpec { durations: vec![5000.0], ..video() }),
        ("durations", ModelSpec { durations: vec![f64::NAN], ..video() }),
        ("resolutions", ModelSpec { resolutions: texts(&["720_p"]), ..image() }),
        ("resolutions", ModelSpec { resolutions: texts(&["audio"]), ..image() }),
        ("resolutions", ModelSpec { resolutions: texts(&["1K", "1K"]), ..image() }),
        ("audio", ModelSpec { audio: true, ..image() }),
        ("last_frame", ModelSpec { last_frame: true, ..image() }),
        ("last_frame", ModelSpec { input_files_max: 0, ..video() }),
        ("price", ModelSpec { price: None, ..image() }),
        ("price", ModelSpec { price: Some(PriceSpec::Flat(0.0)), ..image() }),
        ("price", ModelSpec { price: Some(PriceSpec::Flat(-1.0)), ..image() }),
        ("price", ModelSpec { price: Some(PriceSpec::Flat(0.0005)), ..image() }),
        ("price", ModelSpec { price: Some(PriceSpec::Flat(f64::INFINITY)), ..image() }),
        ("price", ModelSpec { price: Some(PriceSpec::Flat(9_999_999.0)), ..image() }),
        ("price", ModelSpec { price: tiers(&[]), ..image() }),
        ("price.720p", ModelSpec { price: tiers(&[("480p", 1.0)]), ..video() }),
        (
            "price.1080p",
            ModelSpec { price: tiers(&[("480p", 1.0), ("720p", 1.0), ("1080p", 1.0)]), ..video() },
        ),
        ("price.noaudio", ModelSpec { price: tiers(&[("audio", 1.0)]), ..video() }),
        ("price.720p", ModelSpec { price: tiers(&[("720p", 0.0), ("480p", 1.0)]), ..video() }),
        ("price", ModelSpec { audio: false, ..video() }),
        (
            "price",
            ModelSpec { price: Some(PriceSpec::Flat(0.001)), durations: vec![0.4, 5.0], ..video() },
        ),
    ];
    for (index, (expected, spec)) in cases.into_iter().enumerate() {
        let found = faults(vec![spec]);
        assert!(found.iter().all(|field| field.split('.').next() == expected.split('.').next()));
        assert!(found.contains(&expected.to_owned()), "case {index}: {expected}: {found:?}");
    }
}

#[test]
fn a_model_is_described_once_whatever_the_file() {
    let again = ModelSpec { place: Place { file: "b.toml".into(), line: None }, ..image() };
    let problems = Catalogue::build(vec![image(), again]).unwrap_err();
    assert_eq!(problems.len(), 1);
    let text = problems[0].to_string();
    assert_eq!(text, "b.toml: lab/image: identifier: was already described in lab.toml:7");
}

#[test]
fn each_mistake_in_a_field_is_found() {
    let number = |kind, min, max| FieldSpec { min: Some(min), max: Some(max), ..field(kind) };
    let listed = |kind, values: &[&str]| FieldSpec { values: Some(texts(values)), ..field(kind) };
    let named = |name: &str| FieldSpec { name: name.to_owned(), ..field("boolean") };
    let cases = vec![
        named("seed"),
        named("generation_"),
        named("generation_Seed"),
        named("generation__seed"),
        named("generation_seed-value"),
        named("generation_prompt"),
        named("generation_input_file_last_content"),
        field("colour"),
        field("integer"),
        number("integer", 2.0, 1.0),
        number("integer", 0.5, 1.0),
        number("integer", 0.0, 1e300),
        number("number", f64::NAN, 1.0),
        number("boolean", 0.0, 1.0),
        field("text"),
        FieldSpec { max: Some(0.0), ..field("text") },
        field("enum"),
        listed("enum", &[]),
        listed("enum", &["a", "a"]),
        listed("enum_list", &["a", ""]),
        listed("text", &["a"]),
        FieldSpec { default: Some(json!(2)), ..number("integer", 0.0, 1.0) },
        FieldSpec { default: Some(json!(1.0)), ..number("integer", 0.0, 1.0) },
        FieldSpec { default: Some(json!("b")), ..listed("enum", &["a"]) },
        FieldSpec { default: Some(json!(["b"])), ..listed("enum_list", &["a"]) },
        FieldSpec { default: Some(json!("false")), ..field("boolean") },
        FieldSpec { default: Some(json!("long")), max: Some(3.0), ..field("text") },
    ];
    for spec in cases {
        let name = spec.name.clone();
        assert_eq!(faults(vec![with_field(spec.clone())]), [name], "{spec:?}");
    }
    let twice = ModelSpec { fields: vec![field("boolean"), field("boolean")], ..image() };
    assert_eq!(faults(vec![twice]), ["generation_thing"]);
}

#[test]
fn valid_fields_are_kept_in_order_with_their_defaults() {
    let fields = vec![
        FieldSpec {
            name: "generation_seed".into(),
            min: Some(0.0),
            max: Some(4_294_967_295.0),
            ..field("integer")
        },
        FieldSpec { default: Some(json!(false)), ..field("boolean") },
    ];
    let catalogue = Catalogue::build(vec![ModelSpec { fields, ..image() }]).unwrap();
    let model = &catalogue.models()[0];
    assert_eq!(model.specific_schema(), ["generation_seed", "generation_thing"]);
    assert_eq!(model.fields[0].kind, FieldKind::Integer { min: 0, max: 4_294_967_295 });
    assert_eq!(model.fields[0].default, None);
    assert_eq!(model.fields[1].default, Some(json!(false)));
}
