//! What a catalogue must look like, one mistake at a time.

use std::collections::BTreeMap;

use providers::MediaKind;
use serde_json::json;

use super::*;
use crate::catalogue::field::FieldKind;
use crate::catalogue::spec::{CapabilitiesSpec, FieldSpec, OfferSpec, Place, PriceSpec, RuleSpec};
use crate::money::Credits;
use crate::pricing::Rates;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn stack(providers: &[&str], capabilities: &CapabilitiesSpec) -> Vec<OfferSpec> {
    let offer = |name: &&str| OfferSpec {
        provider: (*name).to_owned(),
        raw_model_id: "their/model".to_owned(),
        cost: None,
        capabilities: capabilities.clone(),
    };
    providers.iter().map(offer).collect()
}

fn still() -> CapabilitiesSpec {
    CapabilitiesSpec {
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

fn image() -> ModelSpec {
    ModelSpec {
        place: Place { file: "lab.toml".to_owned(), line: Some(7) },
        identifier: "lab/image".to_owned(),
        media: Some("image".to_owned()),
        price: Some(PriceSpec::Flat(0.052)),
        price_place: None,
        price_source: Some("published".to_owned()),
        stack: stack(&["bfl", "replicate", "fal"], &still()),
        rules: Vec::new(),
    }
}

fn video() -> ModelSpec {
    let moving = CapabilitiesSpec {
        formats: texts(&["mp4"]),
        durations: vec![4.0, 6.0, 8.0],
        resolutions: texts(&["720p", "480p"]),
        audio: true,
        last_frame: true,
        ..still()
    };
    ModelSpec {
        identifier: "lab/video".to_owned(),
        media: Some("video".to_owned()),
        price: tiers(&[
            ("480p_noaudio", 0.02),
            ("480p_audio", 0.03),
            ("720p_noaudio", 0.041),
            ("720p_audio", 0.062),
        ]),
        stack: stack(&["bfl", "replicate", "fal"], &moving),
        ..image()
    }
}

/// The model with something else that all of its providers can do.
fn all(mut spec: ModelSpec, change: impl Fn(&mut CapabilitiesSpec)) -> ModelSpec {
    spec.stack.iter_mut().for_each(|offer| change(&mut offer.capabilities));
    spec
}

/// The model with something else that the last of its providers can do.
fn last(mut spec: ModelSpec, change: impl Fn(&mut CapabilitiesSpec)) -> ModelSpec {
    spec.stack.last_mut().iter_mut().for_each(|offer| change(&mut offer.capabilities));
    spec
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
    all(image(), |it| it.fields = vec![spec.clone()])
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
            all(ModelSpec { price: tiers(&[("1MP", 0.1)]), ..image() }, |it| {
                it.resolutions = texts(&["1MP"]);
            }),
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
    let spec = all(image(), |it| {
        it.ratios = texts(&["wide"]);
        it.formats = texts(&["gif"]);
    });
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
        ("stack", ModelSpec { stack: stack(&["bfl", "bfl"], &still()), ..image() }),
        ("stack", ModelSpec { stack: stack(&["google"], &still()), ..image() }),
        (
            "stack",
            ModelSpec {
                stack: vec![OfferSpec {
                    provider: "bfl".into(),
                    raw_model_id: String::new(),
                    cost: None,
                    capabilities: still(),
                }],
                ..image()
            },
        ),
        ("ratios", all(image(), |it| it.ratios = none())),
        ("ratios", all(image(), |it| it.ratios = texts(&["1:1", "1:1"]))),
        ("ratios", all(image(), |it| it.ratios = texts(&["16x9"]))),
        ("ratios", all(image(), |it| it.ratios = texts(&["0:1"]))),
        ("ratios", all(image(), |it| it.ratios = texts(&["1280:720"]))),
        ("ratios", all(image(), |it| it.ratios = texts(&["1:1:1"]))),
        ("formats", all(image(), |it| it.formats = none())),
        ("formats", all(image(), |it| it.formats = texts(&["jpeg"]))),
        ("formats", all(image(), |it| it.formats = texts(&["mp4"]))),
        ("formats", all(video(), |it| it.formats = texts(&["png"]))),
        ("formats", all(image(), |it| it.formats = texts(&["png", "png"]))),
        ("output_number_max", all(image(), |it| it.output_number_max = 0)),
        ("output_number_max", all(image(), |it| it.output_number_max = 101)),
        ("input_files_max", all(image(), |it| it.input_files_max = 1000)),
        ("input_files_min", all(image(), |it| it.input_files_min = 2)),
        ("durations", all(image(), |it| it.durations = vec![5.0])),
        ("durations", all(video(), |it| it.durations = Vec::new())),
        ("durations", all(video(), |it| it.durations = vec![5.0, 5.0])),
        ("durations", all(video(), |it| it.durations = vec![0.0])),
        ("durations", all(video(), |it| it.durations = vec![-1.0])),
        ("durations", all(video(), |it| it.durations = vec![5.0001])),
        ("durations", all(video(), |it| it.durations = vec![5000.0])),
        ("durations", all(video(), |it| it.durations = vec![f64::NAN])),
        ("resolutions", all(image(), |it| it.resolutions = texts(&["720_p"]))),
        ("resolutions", all(image(), |it| it.resolutions = texts(&["audio"]))),
        ("resolutions", all(image(), |it| it.resolutions = texts(&["1K", "1K"]))),
        ("audio", all(image(), |it| it.audio = true)),
        ("last_frame", all(image(), |it| it.last_frame = true)),
        ("last_frame", all(video(), |it| it.input_files_max = 0)),
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
        ("price", all(video(), |it| it.audio = false)),
        (
            "price",
            all(ModelSpec { price: Some(PriceSpec::Flat(0.001)), ..video() }, |it| {
                it.durations = vec![0.4, 5.0];
            }),
        ),
    ];
    for (index, (expected, spec)) in cases.into_iter().enumerate() {
        let found = faults(vec![spec]);
        assert!(found.iter().all(|field| field.split('.').next() == expected.split('.').next()));
        assert!(found.contains(&expected.to_owned()), "case {index}: {expected}: {found:?}");
    }
}

#[test]
fn a_model_offers_what_every_provider_of_its_stack_can_do() {
    let spec = last(video(), |it| {
        it.ratios = texts(&["9:16", "16:9", "1:1"]);
        it.durations = vec![8.0, 4.0, 5.0];
        it.input_files_min = 1;
        it.input_files_max = 9;
        it.last_frame = false;
        it.output_number_max = 4;
    });
    let spec = all(spec, |it| it.resolutions = texts(&["480p", "720p"]));
    let catalogue = Catalogue::build(vec![spec]).unwrap();
    let model = &catalogue.models()[0];
    assert_eq!(model.ratios, ["1:1", "16:9"], "in the order of the first");
    assert_eq!(model.durations_ms, [4000, 8000]);
    assert_eq!((model.input_files.min, model.input_files.max), (1, 1));
    assert!(!model.last_frame);
    assert_eq!(model.output_number_max, 1);
    assert_eq!(model.resolutions, ["480p", "720p"]);
    assert_eq!(model.stack[2].capabilities.input_files.max, 9, "each keeps what it can");
}

#[test]
fn a_field_is_offered_as_far_as_every_provider_has_it() {
    let number = |kind: &str, name: &str, min, max, default: f64| FieldSpec {
        name: format!("generation_{name}"),
        min: Some(min),
        max: Some(max),
        default: Some(json!(default)),
        ..field(kind)
    };
    let modes = |values: &[&str]| FieldSpec {
        name: "generation_mode".into(),
        values: Some(texts(values)),
        default: Some(json!("off")),
        ..field("enum")
    };
    let spec = all(image(), |it| {
        it.fields =
            vec![number("number", "scale", 0.0, 20.0, 3.5), modes(&["off", "fast", "best"])];
        it.fields.push(FieldSpec { name: "generation_only_here".into(), ..field("boolean") });
    });
    let spec = last(spec, |it| {
        it.fields = vec![modes(&["best", "off"]), number("number", "scale", 1.5, 30.0, 9.0)];
    });
    let catalogue = Catalogue::build(vec![spec]).unwrap();
    let model = &catalogue.models()[0];
    assert_eq!(model.specific_schema(), ["generation_scale", "generation_mode"]);
    assert_eq!(model.fields[0].kind, FieldKind::Number { min: 1.5, max: 20.0 });
    assert_eq!(model.fields[0].default, Some(json!(3.5)), "the default of the first");
    assert_eq!(model.fields[1].kind, FieldKind::Enum(texts(&["off", "best"])));
}

#[test]
fn a_stack_that_has_too_little_in_common_is_refused() {
    let seed = |min, max, default| FieldSpec {
        min: Some(min),
        max: Some(max),
        default,
        ..field("integer")
    };
    let fields = |one: FieldSpec, other: FieldSpec| {
        last(with_field(one), move |it| it.fields = vec![other.clone()])
    };
    let mut tiered = video();
    tiered.price = tiers(&[("720p", 0.2), ("480p", 0.1)]);
    let cases = [
        ("ratios: bfl, replicate, fal have none", last(image(), |it| it.ratios = texts(&["2:1"]))),
        ("ratios: the default `1:1` is not", last(image(), |it| it.ratios = texts(&["16:9"]))),
        ("formats: the default `png` is not", last(image(), |it| it.formats = texts(&["jpg"]))),
        ("durations: bfl, replicate, fal", last(video(), |it| it.durations = vec![5.0])),
        ("resolutions: the default", last(video(), |it| it.resolutions = texts(&["480p"]))),
        (
            "input_files_min: one of",
            last(all(image(), |it| it.input_files_max = 0), |it| {
                (it.input_files_min, it.input_files_max) = (1, 1);
            }),
        ),
        ("price: depends on sound, which fal does not offer", last(video(), |it| it.audio = false)),
        (
            "price: depends on the resolution, of which fal offers none",
            last(tiered.clone(), |it| it.resolutions = Vec::new()),
        ),
        (
            "price.480p: is a tier that fal does not offer",
            last(tiered, |it| it.resolutions = texts(&["720p"])),
        ),
        (
            "generation_thing: bfl, replicate, fal have no value",
            fields(seed(0.0, 1.0, None), seed(2.0, 3.0, None)),
        ),
        (
            "generation_thing: bfl, replicate, fal have no value",
            fields(seed(0.0, 1.0, None), field("boolean")),
        ),
        (
            "generation_thing: its default does not suit bfl, replicate, fal: must be",
            fields(seed(0.0, 9.0, Some(json!(1))), seed(2.0, 9.0, None)),
        ),
    ];
    for (expected, spec) in cases {
        let problems = Catalogue::build(vec![spec]).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{expected}: {lines:#?}");
        assert!(lines[0].contains(expected), "{expected}: {lines:#?}");
        assert!(lines[0].starts_with("lab.toml:7: lab/"), "{lines:#?}");
    }
}

#[test]
fn a_price_that_was_written_elsewhere_is_reported_there() {
    let place = Place { file: "prices.toml".into(), line: Some(3) };
    let price = tiers(&[("720p", 0.2)]);
    let spec = ModelSpec { price, price_place: Some(place), ..video() };
    let problems = Catalogue::build(vec![spec]).unwrap_err();
    assert_eq!(problems[0].to_string(), "prices.toml:3: lab/video: price.480p: is missing");
}

#[test]
fn a_rule_speaks_of_fields_and_values_of_its_model() {
    let rule = |when: &str, is, needs: &str, one_of| RuleSpec {
        when: when.to_owned(),
        is,
        needs: needs.to_owned(),
        one_of,
    };
    let with = |rule| ModelSpec { rules: vec![rule], ..video() };
    let (resolution, duration) = ("generation_resolution", "generation_duration");
    let good = rule(resolution, vec![json!("720p")], duration, vec![json!(8)]);
    let catalogue = Catalogue::build(vec![with(good)]).unwrap();
    assert_eq!(catalogue.models()[0].rules.len(), 1);
    let last_frame = "generation_input_file_last_content";
    let given = rule(last_frame, vec![json!(true)], "generation_ratio", vec![json!("16:9")]);
    assert!(Catalogue::build(vec![with(given)]).is_ok());
    for bad in [
        rule(resolution, vec![json!("8k")], duration, vec![json!(8)]),
        rule(resolution, vec![json!("720p")], duration, vec![json!(5)]),
        rule(resolution, vec![], duration, vec![json!(8)]),
        rule(resolution, vec![json!("720p")], resolution, vec![json!("480p")]),
        rule("generation_nothing", vec![json!(1)], duration, vec![json!(8)]),
    ] {
        assert_eq!(faults(vec![with(bad.clone())]), ["rules"], "{bad:?}");
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
    let twice = all(image(), |it| it.fields = vec![field("boolean"), field("boolean")]);
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
    let catalogue = Catalogue::build(vec![all(image(), |it| it.fields = fields.clone())]).unwrap();
    let model = &catalogue.models()[0];
    assert_eq!(model.specific_schema(), ["generation_seed", "generation_thing"]);
    assert_eq!(model.fields[0].kind, FieldKind::Integer { min: 0, max: 4_294_967_295 });
    assert_eq!(model.fields[0].default, None);
    assert_eq!(model.fields[1].default, Some(json!(false)));
}
