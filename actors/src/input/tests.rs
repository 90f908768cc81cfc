//! A corpus of request bodies: which are accepted and as what, which are refused and where.

use serde_json::json;

use super::body::{DEPTH_MAX, parse_body};
use super::problem::ProblemKind;
use super::*;
use crate::catalogue::Catalogue;
use crate::catalogue::spec::{
    CapabilitiesSpec, FieldSpec, ModelSpec, OfferSpec, Place, PriceSpec, RuleSpec,
};

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn field(name: &str, kind: &str, default: Option<Value>) -> FieldSpec {
    FieldSpec {
        name: name.to_owned(),
        kind: kind.to_owned(),
        min: None,
        max: None,
        values: None,
        default,
    }
}

fn fields() -> Vec<FieldSpec> {
    vec![
        FieldSpec {
            min: Some(0.0),
            max: Some(2_147_483_647.0),
            ..field("generation_seed", "integer", None)
        },
        FieldSpec {
            min: Some(0.0),
            max: Some(20.0),
            ..field("generation_guidance_scale", "number", Some(json!(3.5)))
        },
        field("generation_moderation", "boolean", Some(json!(false))),
        FieldSpec { max: Some(10.0), ..field("generation_negative_prompt", "text", None) },
        FieldSpec {
            values: Some(texts(&["off", "standard"])),
            ..field("generation_enhance_prompt", "enum", Some(json!("off")))
        },
        FieldSpec {
            values: Some(texts(&["red", "blue"])),
            ..field("generation_colors", "enum_list", None)
        },
    ]
}

fn stack(capabilities: &CapabilitiesSpec) -> Vec<OfferSpec> {
    let offer = |name: &str| OfferSpec {
        provider: name.to_owned(),
        raw_model_id: "their/model".to_owned(),
        cost: None,
        capabilities: capabilities.clone(),
    };
    ["bfl", "replicate", "fal"].map(offer).into()
}

fn still() -> CapabilitiesSpec {
    CapabilitiesSpec {
        ratios: texts(&["1:1", "16:9"]),
        formats: texts(&["png", "jpg"]),
        output_number_max: 4,
        input_files_min: 0,
        input_files_max: 2,
        last_frame: false,
        durations: Vec::new(),
        resolutions: Vec::new(),
        audio: false,
        fields: fields(),
    }
}

fn image_spec(capabilities: &CapabilitiesSpec) -> ModelSpec {
    ModelSpec {
        place: Place::default(),
        identifier: "lab/image".to_owned(),
        media: Some("image".to_owned()),
        price: Some(PriceSpec::Flat(0.052)),
        price_place: None,
        price_source: Some("published".to_owned()),
        stack: stack(capabilities),
        rules: Vec::new(),
    }
}

fn video_spec() -> ModelSpec {
    let rates = [
        ("480p_noaudio", 0.02),
        ("480p_audio", 0.03),
        ("720p_noaudio", 0.041),
        ("720p_audio", 0.062),
    ];
    let moving = CapabilitiesSpec {
        formats: texts(&["mp4"]),
        durations: vec![4.0, 5.4, 8.0],
        resolutions: texts(&["720p", "480p"]),
        audio: true,
        last_frame: true,
        fields: Vec::new(),
        ..still()
    };
    ModelSpec {
        identifier: "lab/video".to_owned(),
        media: Some("video".to_owned()),
        price: Some(PriceSpec::Tiers(
            rates.into_iter().map(|(key, rate)| (key.to_owned(), rate)).collect(),
        )),
        ..image_spec(&moving)
    }
}

fn rule(when: &str, is: Value, needs: &str, one_of: Value) -> RuleSpec {
    RuleSpec { when: when.to_owned(), is: vec![is], needs: needs.to_owned(), one_of: vec![one_of] }
}

/// Two models to normalize for, and three that differ from them in one respect.
struct Models(Catalogue);

impl Models {
    fn new() -> Self {
        let editor = CapabilitiesSpec { input_files_min: 1, fields: Vec::new(), ..still() };
        let plain = CapabilitiesSpec { input_files_max: 0, fields: Vec::new(), ..still() };
        let named =
            |name: &str, spec: ModelSpec| ModelSpec { identifier: format!("lab/{name}"), ..spec };
        let ruled = ModelSpec {
            rules: vec![
                rule("generation_resolution", json!("720p"), "generation_duration", json!(8)),
                rule(
                    "generation_input_file_last_content",
                    json!(true),
                    "generation_ratio",
                    json!("16:9"),
                ),
            ],
            ..named("ruled", video_spec())
        };
        let specs = vec![
            image_spec(&still()),
            video_spec(),
            named("editor", image_spec(&editor)),
            named("plain", image_spec(&plain)),
            ruled,
        ];
        Self(Catalogue::build(specs).unwrap())
    }

    fn normalize(&self, model: &str, body: &str) -> Result<Input, Vec<Problem>> {
        let model = self.0.find(&format!("lab/{model}")).unwrap();
        parse_body(body.as_bytes()).map_err(|problem| vec![problem]).and_then(|body| {
            let input = normalize(model, &body)?;
            // Whatever is accepted survives the store and has a price.
            let stored = serde_json::to_string(&input).unwrap();
            assert_eq!(serde_json::from_str::<Input>(&stored).unwrap(), input);
            assert!(input.amount(model).unwrap() > Credits::ZERO);
            Ok(input)
        })
    }
}

/// A body with a good prompt and, for a video, a good duration.
fn filled(model: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    let duration = if model == "video" { r#","generation_duration":4"# } else { "" };
    format!(r#"{{"generation_prompt":"a cat"{duration}{comma}{members}}}"#)
}

#[test]
fn bodies_that_are_accepted() {
    let models = Models::new();
    #[rustfmt::skip]
    let vectors = [
        ("image", r#""#),
        ("image", r#""generation_ratio":"16:9""#),
        ("image", r#""generation_ratio":null"#),
        ("image", r#""generation_output_format":"jpg""#),
        ("image", r#""generation_output_number":1"#),
        ("image", r#""generation_output_number":4"#),
        ("image", r#""generation_duration":null,"generation_resolution":null,"generation_generate_audio":null"#),
        ("image", r#""generation_input_file":[]"#),
        ("image", r#""generation_input_file":["https://example.com/a.png"]"#),
        ("image", r#""generation_input_file":["http://example.com:8080/a?b=c@d#e","HTTPS://EXAMPLE.com"]"#),
        ("image", r#""generation_input_file":["https://例え.jp/画像.png"]"#),
        ("image", r#""generation_input_file_last_content":null"#),
        ("image", r#""generation_provider_order":"fastest""#),
        ("image", r#""generation_provider_order":"bfl, replicate, fal""#),
        ("image", r#""generation_provider_order":"bfl,replicate,fal""#),
        ("image", r#""generation_provider_order":"fal , replicate""#),
        ("image", r#""generation_provider_order":"fal""#),
        ("image", r#""generation_seed":0"#),
        ("image", r#""generation_seed":2147483647"#),
        ("image", r#""generation_seed":null"#),
        ("image", r#""generation_guidance_scale":20"#),
        ("image", r#""generation_guidance_scale":1e1"#),
        ("image", r#""generation_moderation":true"#),
        ("image", r#""generation_negative_prompt":"""#),
        ("image", r#""generation_negative_prompt":"ééééé\nßßßß""#),
        ("image", r#""generation_enhance_prompt":"standard""#),
        ("image", r#""generation_colors":["blue","red"]"#),
        ("image", r#""generation_colors":[]"#),
        ("editor", r#""generation_input_file":["https://example.com/a.png"]"#),
        ("plain", r#""generation_input_file":[]"#),
        ("plain", r#""generation_input_file":null"#),
        ("video", r#""#),
        ("video", r#""generation_resolution":"480p""#),
        ("video", r#""generation_generate_audio":true"#),
        ("video", r#""generation_generate_audio":false"#),
        ("video", r#""generation_input_file":["https://example.com/a"],"generation_input_file_last_content":"https://example.com/b""#),
    ];
    for (model, members) in vectors {
        let body = filled(model, members);
        if let Err(problems) = models.normalize(model, &body) {
            panic!("{model} {body}: {problems:#?}");
        }
    }
}

const INVALID: &str = "invalid";
const RANGE: &str = "out of range";
/// A text that is no address of a file.
const FILE: &str = "file";

/// Each of these bodies has exactly one problem.
#[test]
fn members_that_are_refused() {
    let models = Models::new();
    let long = format!(r#""generation_input_file":["https://example.com/{}"]"#, "a".repeat(2048));
    #[rustfmt::skip]
    let vectors = [
        ("image", r#""generation_ratio":"4:3""#, INVALID, "/generation_ratio"),
        ("image", r#""generation_ratio":"16:9 ""#, INVALID, "/generation_ratio"),
        ("image", r#""generation_ratio":1"#, INVALID, "/generation_ratio"),
        ("image", r#""generation_ratio":["1:1"]"#, INVALID, "/generation_ratio"),
        ("image", r#""generation_output_format":"PNG""#, INVALID, "/generation_output_format"),
        ("image", r#""generation_output_format":"webp""#, INVALID, "/generation_output_format"),
        ("image", r#""generation_output_format":"mp4""#, INVALID, "/generation_output_format"),
        ("image", r#""generation_output_number":0"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":5"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":-1"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":1.0"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":1e0"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":1e2"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":1.5"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":"1""#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":true"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":[1]"#, INVALID, "/generation_output_number"),
        ("image", r#""generation_output_number":4294967297"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":9223372036854775808"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":18446744073709551617"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":-99999999999999999999"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_output_number":1e308"#, RANGE, "/generation_output_number"),
        ("image", r#""generation_duration":4"#, INVALID, "/generation_duration"),
        ("image", r#""generation_resolution":"720p""#, INVALID, "/generation_resolution"),
        ("image", r#""generation_generate_audio":false"#, INVALID, "/generation_generate_audio"),
        ("image", r#""generation_input_file":"https://example.com/a.png""#, INVALID, "/generation_input_file"),
        ("image", r#""generation_input_file":{}"#, INVALID, "/generation_input_file"),
        ("image", r#""generation_input_file":["https://a.example","https://b.example","https://c.example"]"#, INVALID, "/generation_input_file"),
        ("image", r#""generation_input_file":[null]"#, INVALID, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://a.example",7]"#, INVALID, "/generation_input_file/1"),
        ("image", r#""generation_input_file":[["https://a.example"]]"#, INVALID, "/generation_input_file/0"),
        ("image", r#""generation_input_file":[""]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["example.com/a.png"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["//example.com/a.png"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["ftp://example.com/a.png"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["file:///etc/passwd"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["data:image/png;base64,AAAA"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["javascript://example.com/%0aalert(1)"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https:example.com"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https:/example.com"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https:///example.com"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https:\\\\example.com"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://example.com\\@evil.example"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://user:pass@example.com/"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://@example.com/"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://exa\tmple.com/"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://example.com/\r\nHost: evil"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://example.com/\u0000"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":[" https://example.com/"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://example.com:99999/"]"#, FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file":["https://[::1/"]"#, FILE, "/generation_input_file/0"),
        ("image", long.as_str(), FILE, "/generation_input_file/0"),
        ("image", r#""generation_input_file_last_content":"https://example.com/b""#, INVALID, "/generation_input_file_last_content"),
        ("image", r#""generation_provider_order":"""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"openai""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"google""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"BFL""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl, bfl""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl,""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":", bfl""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl,  fal""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":" bfl""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl ""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl fal""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"fastest, bfl""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":"bfl, fastest""#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_provider_order":["bfl"]"#, INVALID, "/generation_provider_order"),
        ("image", r#""generation_seed":-1"#, RANGE, "/generation_seed"),
        ("image", r#""generation_seed":2147483648"#, RANGE, "/generation_seed"),
        ("image", r#""generation_seed":1.0"#, INVALID, "/generation_seed"),
        ("image", r#""generation_seed":"1""#, INVALID, "/generation_seed"),
        ("image", r#""generation_guidance_scale":20.01"#, RANGE, "/generation_guidance_scale"),
        ("image", r#""generation_guidance_scale":-1e300"#, RANGE, "/generation_guidance_scale"),
        ("image", r#""generation_guidance_scale":"3.5""#, INVALID, "/generation_guidance_scale"),
        ("image", r#""generation_moderation":1"#, INVALID, "/generation_moderation"),
        ("image", r#""generation_moderation":"true""#, INVALID, "/generation_moderation"),
        ("image", r#""generation_negative_prompt":"12345678901""#, INVALID, "/generation_negative_prompt"),
        ("image", r#""generation_negative_prompt":"\u001b[0m""#, INVALID, "/generation_negative_prompt"),
        ("image", r#""generation_enhance_prompt":"fast""#, INVALID, "/generation_enhance_prompt"),
        ("image", r#""generation_colors":"red""#, INVALID, "/generation_colors"),
        ("image", r#""generation_colors":["green"]"#, INVALID, "/generation_colors/0"),
        ("image", r#""generation_colors":["red","red"]"#, INVALID, "/generation_colors/1"),
        ("image", r#""generation_colors":["red","blue","red"]"#, INVALID, "/generation_colors"),
        ("image", r#""cost":0"#, INVALID, "/cost"),
        ("image", r#""status":null"#, INVALID, "/status"),
        ("image", r#""account_id":"another""#, INVALID, "/account_id"),
        ("image", r#""__proto__":{"admin":true}"#, INVALID, "/__proto__"),
        ("image", r#""constructor":{"prototype":{}}"#, INVALID, "/constructor"),
        ("image", r#""Generation_ratio":"1:1""#, INVALID, "/Generation_ratio"),
        ("image", r#""generation_aspect_ratio":"1:1""#, INVALID, "/generation_aspect_ratio"),
        ("image", r#""a/b~c":1"#, INVALID, "/a~1b~0c"),
        ("image", r#""":1"#, INVALID, "/"),
        ("editor", r#""#, INVALID, "/generation_input_file"),
        ("editor", r#""generation_input_file":[]"#, INVALID, "/generation_input_file"),
        ("editor", r#""generation_input_file":null"#, INVALID, "/generation_input_file"),
        ("editor", r#""generation_input_file":["no"]"#, FILE, "/generation_input_file/0"),
        ("plain", r#""generation_input_file":["https://example.com/a"]"#, INVALID, "/generation_input_file"),
        ("plain", r#""generation_seed":1"#, INVALID, "/generation_seed"),
        ("video", r#""generation_resolution":"1080p""#, INVALID, "/generation_resolution"),
        ("video", r#""generation_resolution":720"#, INVALID, "/generation_resolution"),
        ("video", r#""generation_generate_audio":1"#, INVALID, "/generation_generate_audio"),
        ("video", r#""generation_generate_audio":"true""#, INVALID, "/generation_generate_audio"),
        ("video", r#""generation_input_file_last_content":"https://example.com/b""#, INVALID, "/generation_input_file_last_content"),
        ("video", r#""generation_input_file":[],"generation_input_file_last_content":"https://example.com/b""#, INVALID, "/generation_input_file_last_content"),
        ("video", r#""generation_input_file":["https://example.com/a"],"generation_input_file_last_content":["https://example.com/b"]"#, INVALID, "/generation_input_file_last_content"),
        ("video", r#""generation_input_file":["https://example.com/a"],"generation_input_file_last_content":"gopher://b""#, FILE, "/generation_input_file_last_content"),
        ("video", r#""generation_input_file":"https://example.com/a","generation_input_file_last_content":"https://example.com/b""#, INVALID, "/generation_input_file"),
        ("video", r#""generation_input_file":["no"],"generation_input_file_last_content":"https://example.com/b""#, FILE, "/generation_input_file/0"),
    ];
    for (model, members, kind, pointer) in vectors {
        let body = filled(model, members);
        expect_one(models.normalize(model, &body), &body, kind, pointer);
    }
}

fn expect_one(result: Result<Input, Vec<Problem>>, body: &str, kind: &str, pointer: &str) {
    let problems = match result {
        Ok(input) => panic!("{body} was accepted: {input:?}"),
        Err(problems) => problems,
    };
    let [problem] = problems.as_slice() else { panic!("{body}: {problems:#?}") };
    assert_eq!(problem.pointer, pointer, "{body}: {problem:?}");
    let found = match problem.kind {
        ProblemKind::Invalid => INVALID,
        ProblemKind::FileUrl => FILE,
        ProblemKind::OutOfRange { .. } => RANGE,
    };
    assert_eq!(found, kind, "{body}: {problem:?}");
    assert!(problem.reason.ends_with('.'), "{problem:?}");
    let top = pointer.split('/').nth(1).map(|top| top.replace("~1", "/").replace("~0", "~"));
    assert_eq!(problem.field, top.unwrap_or_else(|| "body".to_owned()), "{body}");
}

#[test]
fn prompts_and_durations_that_are_refused() {
    let models = Models::new();
    let prompt = |text: &str| format!(r#"{{"generation_prompt":{text}}}"#);
    let duration =
        |text: &str| format!(r#"{{"generation_prompt":"a cat","generation_duration":{text}}}"#);
    let long = format!(r#""{}""#, "é".repeat(PROMPT_MAX + 1));
    for text in [r#""""#, r#""   ""#, r#""\n\t \u3000""#, "null", "7", "[]", r#""a\u0000b""#, &long]
    {
        let body = prompt(text);
        expect_one(models.normalize("image", &body), &body, INVALID, "/generation_prompt");
    }
    for text in [r#""\u001b[31m""#, r#""a\u007f""#, r#""a\u0085""#, r#""\u0008a""#] {
        let body = prompt(text);
        expect_one(models.normalize("image", &body), &body, INVALID, "/generation_prompt");
    }
    expect_one(models.normalize("image", "{}"), "{}", INVALID, "/generation_prompt");
    for text in ["5", "0", "-4", "4.0001", "4000", "1e300", "99999999999999999999", "-0.0"] {
        let body = duration(text);
        expect_one(models.normalize("video", &body), &body, RANGE, "/generation_duration");
    }
    for text in [r#""4""#, "true", "[4]", "{}", "null"] {
        let body = duration(text);
        expect_one(models.normalize("video", &body), &body, INVALID, "/generation_duration");
    }
}

#[test]
fn bodies_that_cannot_be_read() {
    let nested =
        |levels: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    let at = |levels: usize| format!("/a{}", "/0".repeat(levels - 1));
    let bomb = "[".repeat(100_000);
    let vectors: Vec<(&[u8], &str)> = vec![
        (b"", ""),
        (b" \r\n\t", ""),
        (b"\xff\xfe", ""),
        (b"{\"a\":\"\xc3\x28\"}", ""),
        (b"\xef\xbb\xbf{}", ""),
        (b"not json", ""),
        (b"{", ""),
        (b"{}{}", ""),
        (b"{} x", ""),
        (b"{'a':1}", ""),
        (b"{\"a\":1,}", ""),
        (b"{a:1}", ""),
        (b"{} // comment", ""),
        (b"{\"a\":", "/a"),
        (b"{\"a\":NaN}", "/a"),
        (b"{\"a\":Infinity}", "/a"),
        (b"{\"a\":-Infinity}", "/a"),
        (b"{\"a\":1e999}", "/a"),
        (b"{\"a\":-1e999}", "/a"),
        (b"{\"a\":01}", "/a"),
        (b"{\"a\":+1}", "/a"),
        (b"{\"a\":.5}", "/a"),
        (b"{\"a\":0x10}", ""),
        (b"{\"a\":undefined}", "/a"),
        (b"{\"a\":\"\\ud800\"}", "/a"),
        (b"{\"a\":\"\\udc00\\ud800\"}", "/a"),
        (b"{\"a\":\"\\x41\"}", "/a"),
        (b"{\"a\":\"line\nend\"}", "/a"),
        (b"{\"a\":\"raw \x00\"}", "/a"),
        (b"{\"a\":1,\"a\":1}", "/a"),
        (b"{\"a\":1,\"b\":2,\"\\u0061\":3}", "/a"),
        (b"{\"__proto__\":1,\"__proto__\":1}", "/__proto__"),
        (b"{\"a\":[1,{\"b/\":1,\"b/\":2}]}", "/a/1/b~1"),
        (b"{\"a\":[1,2,]}", "/a/2"),
    ];
    for (body, pointer) in vectors {
        let text = String::from_utf8_lossy(body);
        let problem = parse_body(body).expect_err(&text);
        assert_eq!(problem.pointer, pointer, "{text}: {problem:?}");
        assert_eq!(problem.kind, ProblemKind::Invalid, "{text}");
        assert!(problem.reason.ends_with('.'), "{text}: {problem:?}");
    }
    assert!(parse_body(nested(DEPTH_MAX).as_bytes()).is_ok());
    let problem = parse_body(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
    assert_eq!(problem.pointer, at(DEPTH_MAX));
    assert!(problem.reason.contains("nested deeper than 16 levels"), "{problem:?}");
    assert!(parse_body(bomb.as_bytes()).unwrap_err().reason.contains("nested deeper"));
    let infinite = parse_body(b"{\"a\":1e999}").unwrap_err();
    assert!(infinite.reason.contains("number out of range"), "{infinite:?}");
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let models = Models::new();
    for body in ["[]", "null", "7", r#""text""#, "true", r#"[{"generation_prompt":"a"}]"#] {
        expect_one(models.normalize("image", body), body, INVALID, "");
    }
}

#[test]
fn a_body_is_read_as_any_json_parser_reads_it() {
    let body = r#" {"a":[0,-1,18446744073709551615,1.5,-0.0,"\u00e9\ud83d\ude00",null,true,{}]} "#;
    assert_eq!(parse_body(body.as_bytes()), Ok(serde_json::from_str(body).unwrap()));
}

#[test]
fn defaults_are_filled_in_and_every_field_of_the_model_is_there() {
    let input = Models::new().normalize("image", &filled("image", "")).unwrap();
    assert_eq!((input.ratio.as_str(), input.format, input.count), ("1:1", OutputFormat::Png, 1));
    assert_eq!((input.duration_ms, input.audio, &input.resolution), (None, None, &None));
    assert_eq!(
        Value::from(input.options).to_string(),
        json!({
            "generation_seed": null,
            "generation_guidance_scale": 3.5,
            "generation_moderation": false,
            "generation_negative_prompt": null,
            "generation_enhance_prompt": "off",
            "generation_colors": null,
        })
        .to_string(),
        "in the order of the catalogue"
    );
    let order: Vec<&str> = input.provider_order.iter().map(|name| name.as_str()).collect();
    assert_eq!(order, ["bfl", "replicate", "fal"]);
    assert_eq!(input.requested_order, None);

    let video = Models::new().normalize("video", &filled("video", "")).unwrap();
    assert_eq!(video.resolution.as_deref(), Some("720p"));
    assert_eq!((video.audio, video.duration_ms), (Some(false), Some(4000)));
}

#[test]
fn what_was_asked_for_is_kept() {
    let body = r#"{
        "generation_provider_order": "fal ,bfl",
        "generation_prompt": "  a cat\n",
        "generation_input_file": ["https://EXAMPLE.com/ä"]
    }"#;
    let input = Models::new().normalize("image", body).unwrap();
    assert_eq!(input.prompt, "a cat");
    assert_eq!(input.provider_order, [ProviderName::Fal, ProviderName::Bfl]);
    assert_eq!(input.requested_order.as_deref(), Some("fal, bfl"));
    assert_eq!(input.input_files[0].as_str(), "https://example.com/%C3%A4");
}

#[test]
fn a_duration_is_the_same_however_it_is_written() {
    let models = Models::new();
    for (text, expected) in
        [("4", 4000), ("4.0", 4000), ("4e0", 4000), ("0.4e1", 4000), ("5.4", 5400), ("54e-1", 5400)]
    {
        let body = format!(r#"{{"generation_prompt":"a","generation_duration":{text}}}"#);
        let input = models.normalize("video", &body).unwrap();
        assert_eq!(input.duration_ms, Some(expected), "{text}");
    }
}

#[test]
fn a_number_outside_its_bounds_tells_them() {
    let models = Models::new();
    let bounds = |model, members| {
        let problems = models.normalize(model, members).unwrap_err();
        match &problems[0].kind {
            ProblemKind::OutOfRange { min, max } => format!("{min} {max}"),
            ProblemKind::Invalid | ProblemKind::FileUrl => panic!("{problems:?}"),
        }
    };
    let number = filled("image", r#""generation_output_number":9"#);
    assert_eq!(bounds("image", &number), "1 4");
    let scale = filled("image", r#""generation_guidance_scale":21"#);
    assert_eq!(bounds("image", &scale), "0.0 20.0");
    let duration = r#"{"generation_prompt":"a","generation_duration":7}"#;
    assert_eq!(bounds("video", duration), "4 8");
}

#[test]
fn a_rule_between_fields_is_kept() {
    let models = Models::new();
    let body = |members: &str| {
        format!(r#"{{"generation_prompt":"a","generation_ratio":"16:9",{members}}}"#)
    };
    let files = r#""generation_input_file":["https://example.com/a"],"generation_input_file_last_content":"https://example.com/b""#;
    for members in [
        r#""generation_duration":8"#.to_owned(),
        r#""generation_duration":4,"generation_resolution":"480p""#.to_owned(),
        format!(r#""generation_duration":8,{files}"#),
    ] {
        assert!(models.normalize("ruled", &body(&members)).is_ok(), "{members}");
    }
    let short = body(r#""generation_duration":4"#);
    expect_one(models.normalize("ruled", &short), &short, INVALID, "/generation_duration");
    let square = body(&format!(r#""generation_duration":8,{files}"#)).replace("16:9", "1:1");
    expect_one(models.normalize("ruled", &square), &square, INVALID, "/generation_ratio");
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    let body = r#"{
        "zeta": 1, "generation_seed": -1, "alpha": 2, "generation_output_number": 0,
        "generation_input_file": ["no", "https://example.com/", 3], "generation_ratio": 7
    }"#;
    let problems = Models::new().normalize("video", body).unwrap_err();
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/generation_prompt",
            "/generation_ratio",
            "/generation_output_number",
            "/generation_duration",
            "/generation_input_file",
            "/zeta",
            "/generation_seed",
            "/alpha",
        ]
    );
}

#[test]
fn the_answer_does_not_grow_with_the_body() {
    let members: Vec<String> = (0..5000).map(|n| format!(r#""{n}":1"#)).collect();
    let problems = Models::new().normalize("image", &filled("image", &members.join(",")));
    assert_eq!(problems.unwrap_err().len(), PROBLEMS_MAX);
    let long = filled("image", &format!(r#""{}":1"#, "é".repeat(50_000)));
    let problems = Models::new().normalize("image", &long).unwrap_err();
    assert!(problems[0].reason.len() < 300, "{}", problems[0].reason);
}

#[test]
fn the_amount_is_one_output_times_their_number() {
    let models = Models::new();
    let amount = |model: &str, members: &str| {
        let input = models.normalize(model, &filled(model, members)).unwrap();
        input.amount(models.0.find(&format!("lab/{model}")).unwrap()).unwrap().to_string()
    };
    assert_eq!(amount("image", r#""generation_output_number":3"#), "0.156");
    assert_eq!(amount("video", r#""generation_generate_audio":true"#), "0.248");
    assert_eq!(amount("video", r#""generation_resolution":"480p""#), "0.080");
}
