mod whole;

use actors::catalogue::PriceSource;
use actors::input::normalize;
use providers::MediaKind;

use super::*;

fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let specs = parse("own.toml", text, &mut problems);
    if problems.is_empty() {
        problems = Catalogue::build(specs).unwrap_err();
    }
    problems.iter().map(ToString::to_string).collect()
}

fn built_in(sandbox: bool) -> Result<Catalogue, CatalogueError> {
    load(Sources { sandbox, ..Sources::default() })
}

/// The models of the embedded provider.
fn sandbox_models(catalogue: &Catalogue) -> impl Iterator<Item = &actors::catalogue::Model> {
    catalogue.models().iter().filter(|model| model.identifier.starts_with("sandbox/"))
}

/// A directory of its own for one test, removed when dropped.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let name = format!("babysea-catalogue-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn load(&self, sandbox: bool) -> Result<Catalogue, CatalogueError> {
        load(Sources { sandbox, directory: Some(&self.0), prices: None })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const OWN: &str = r#"
    [[model]]
    identifier = "own/model"
    media = "video"
    price = { 480p_audio = 0.03, 480p_noaudio = 0.02 }
    price_source = "operator"
    stack = [{ provider = "byteplus", model = "own-1" }, { provider = "fal", model = "own/1" }]
    ratios = ["16:9"]
    formats = ["mp4"]
    durations = [5, 7.5]
    resolutions = ["480p"]
    audio = true
"#;

#[test]
fn the_built_in_files_are_valid_and_the_sandbox_can_be_switched_off() {
    let catalogue = built_in(true).unwrap();
    let identifiers: Vec<&str> =
        sandbox_models(&catalogue).map(|model| model.identifier.as_str()).collect();
    assert_eq!(
        identifiers,
        [
            "sandbox/inline",
            "sandbox/polling",
            "sandbox/webhook",
            "sandbox/failover",
            "sandbox/video"
        ]
    );
    for model in sandbox_models(&catalogue) {
        assert_eq!(model.fields.len(), 4, "{}", model.identifier);
    }
    let failover = catalogue.find("sandbox/failover").unwrap();
    let order: Vec<&str> = failover.providers().map(|name| name.as_str()).collect();
    assert_eq!(order, ["sandbox_polling", "sandbox_webhook", "sandbox_inline"]);
    let video = catalogue.find("sandbox/video").unwrap();
    assert_eq!(video.durations_ms, (1..=10).map(|s| s * 1000).collect::<Vec<u64>>());
    assert!(video.last_frame);
    let none = built_in(false).unwrap();
    assert_eq!(sandbox_models(&none).count(), 0);
    assert_eq!(none.models().len() + 5, catalogue.models().len());
    assert_ne!(none.version(), catalogue.version());
}

#[test]
fn a_sandbox_request_can_ask_for_every_fault() {
    let catalogue = built_in(true).unwrap();
    for model in sandbox_models(&catalogue) {
        let mut body = serde_json::json!({
            "generation_prompt": "a cat",
            "generation_sandbox_latency_ms": 600_000,
            "generation_sandbox_outcome": "call_back_before_submit_returns",
            "generation_sandbox_fail_providers": ["sandbox_webhook", "sandbox_inline"],
        });
        let mut amount = "0.001";
        if model.media == MediaKind::Video {
            body["generation_duration"] = 10.into();
            amount = "0.020";
        }
        let input = normalize(model, &body).unwrap();
        assert_eq!(input.amount(model).unwrap().to_string(), amount, "{}", model.identifier);
        assert!(input.options["generation_seed"].is_null());
        body["generation_sandbox_latency_ms"] = 600_001.into();
        body["generation_sandbox_fail_providers"] = serde_json::json!(["bfl"]);
        let problems = normalize(model, &body).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}

#[test]
fn a_model_of_the_operator_is_added_or_takes_the_place_of_a_built_in_one() {
    let instead = OWN.replace("own/model", "sandbox/polling");
    let directory =
        Directory::new("override", &[("a.toml", OWN), ("b.toml", &instead), ("c.txt", "no")]);
    let catalogue = directory.load(true).unwrap();
    let built_in = built_in(true).unwrap();
    assert_eq!(catalogue.models().len(), built_in.models().len() + 1);
    let at = |catalogue: &Catalogue| {
        catalogue.models().iter().position(|model| model.identifier == "sandbox/polling")
    };
    assert_eq!(at(&catalogue), at(&built_in), "in its place");
    assert_eq!(catalogue.find("sandbox/polling").unwrap().durations_ms, [5000, 7500]);
    assert_eq!(catalogue.models().last().unwrap().identifier, "own/model");
}

#[test]
fn one_model_in_two_files_of_the_operator_is_refused_even_if_it_overrides() {
    for identifier in ["own/model", "sandbox/polling"] {
        let text = OWN.replace("own/model", identifier);
        let name = identifier.replace('/', "-");
        let directory = Directory::new(&name, &[("a.toml", &text), ("b.toml", &text)]);
        let error = directory.load(true).unwrap_err().to_string();
        assert!(error.contains("b.toml:2"), "{error}");
        assert!(error.contains("a.toml:2"), "{error}");
    }
}

#[test]
fn a_missing_directory_is_an_error() {
    let directory = Some(Path::new("/nowhere/at/all"));
    let sources = Sources { sandbox: true, directory, prices: None };
    let error = load(sources).unwrap_err();
    assert!(matches!(error, CatalogueError::Unreadable { .. }), "{error}");
}

#[test]
fn a_problem_is_told_with_file_line_model_and_field() {
    for (text, expected) in [
        ("x = ", "own.toml:1: "),
        ("colour = 1", "own.toml:1: unknown field `colour`"),
        ("[[model]]\nidentifier = \"a/b\"\nprise = 1", "own.toml:3: unknown field `prise`"),
        ("[[model]]\nprice = \"1\"", "own.toml:2: expected a number, or a table"),
        ("[defaults]\nidentifier = \"a/b\"", "own.toml: defaults.identifier: "),
        ("[[model]]", "own.toml:1: identifier: must be `lab/model`"),
        (
            "\n\n[[model]]\nidentifier = \"a/b\"\nfields = [\"seed\"]",
            "own.toml:3: a/b: fields: there is no [fields.seed] in this file",
        ),
        ("[[model]]\nidentifier = \"a/b\"", "own.toml:1: a/b: price: is missing"),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn an_offer_that_says_nothing_can_do_what_its_model_and_file_say() {
    let shared = OWN.split_once("identifier = \"own/model\"").unwrap().1;
    let text = format!("[defaults]{shared}").replace("stack", "# ")
        + r#"
        [[model]]
        identifier = "own/a"
        ratios = ["16:9", "1:1"]
        [[model.stack]]
        provider = "bfl"
        model = "a"
        can.durations = [7.5]
        [[model.stack]]
        provider = "fal"
        model = "a"
        can = { input_files_max = 2, last_frame = true }
    "#;
    let mut problems = Vec::new();
    let catalogue = Catalogue::build(parse("own.toml", &text, &mut problems)).unwrap();
    let model = &catalogue.models()[0];
    let [bfl, fal] = model.stack.as_slice() else { panic!("{model:?}") };
    assert_eq!(bfl.capabilities.durations_ms, [7500]);
    assert_eq!(fal.capabilities.durations_ms, [5000, 7500], "of the file");
    assert_eq!(fal.capabilities.ratios, ["16:9", "1:1"], "of the model");
    assert_eq!((fal.capabilities.input_files.max, bfl.capabilities.input_files.max), (2, 0));
    assert_eq!((model.durations_ms.as_slice(), model.input_files.max), ([7500].as_slice(), 0));
    assert!(fal.capabilities.last_frame && !model.last_frame);
}

#[test]
fn the_operator_sets_prices_in_a_file_of_their_own() {
    let prices = r#"
        "sandbox/inline" = 0.007
        "bfl/flux-2-pro" = { 1MP = 0.04, 2MP = 0.06, 4MP = 0.09 }
        "bytedance/seedance-1-pro" = 0.05
    "#;
    let directory = Directory::new("prices", &[("prices.toml", prices)]);
    let path = directory.0.join("prices.toml");
    let load = |path| load(Sources { sandbox: true, directory: None, prices: Some(path) });
    let catalogue = load(&path).unwrap();
    for (model, tier, price) in [
        ("sandbox/inline", None, "0.007"),
        ("bfl/flux-2-pro", Some("2MP"), "0.060"),
        ("bytedance/seedance-1-pro", Some("480p"), "0.250"),
    ] {
        let model = catalogue.find(model).unwrap();
        assert_eq!(model.price_source, PriceSource::Operator);
        let choice =
            actors::pricing::Choice { resolution: tier, audio: None, duration_ms: Some(5000) };
        assert_eq!(model.quote(&choice).unwrap().cost_per_generation.to_string(), price);
    }
    let untouched = catalogue.find("bfl/flux-2-max").unwrap();
    assert_eq!(untouched.price_source, PriceSource::Placeholder);
    assert_ne!(catalogue.version(), built_in(true).unwrap().version());

    for (prices, expected) in [
        ("\n\"lab/nothing\" = 1", "prices.toml:2: lab/nothing: there is no such model"),
        (
            "\"bfl/flux-2-pro\" = { 1MP = 1 }",
            "prices.toml:1: bfl/flux-2-pro: price.2MP: is missing",
        ),
        (
            "\"google/veo-2\" = { 8k = 1 }",
            "prices.toml:1: google/veo-2: price: depends on the resolution, of which replicate",
        ),
        (
            "\"bfl/flux-2-pro\" = { 1MP = 1, 2MP = 1, 4MP = 1, 8MP = 1 }",
            "prices.toml:1: bfl/flux-2-pro: price.8MP: is a tier that bfl does not offer",
        ),
        ("\"bfl/flux-2-pro\" = 0", "prices.toml:1: bfl/flux-2-pro: price: 0 is not an amount"),
        ("\"bfl/flux-2-pro\" = \"free\"", "prices.toml:1: expected a number, or a table"),
        ("prices", "prices.toml:1: "),
    ] {
        fs::write(&path, prices).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(matches!(load(Path::new("/nowhere")), Err(CatalogueError::Unreadable { .. })));
}

#[test]
fn a_field_may_have_another_shape_for_another_model() {
    let shared = OWN.split_once("identifier = \"own/model\"").unwrap().1;
    let text = format!(
        "[defaults]{shared}
        [fields.generation_seed]\ntype = \"integer\"\nmin = 0\nmax = 9
        [fields.wide]\nname = \"generation_seed\"\ntype = \"integer\"\nmin = 0\nmax = 99
        [[model]]\nidentifier = \"own/a\"\nfields = [\"generation_seed\"]
        [[model]]\nidentifier = \"own/b\"\nfields = [\"wide\"]"
    );
    let mut problems = Vec::new();
    let specs = parse("own.toml", &text, &mut problems);
    let catalogue = Catalogue::build(specs).unwrap();
    let (a, b) = (catalogue.find("own/a").unwrap(), catalogue.find("own/b").unwrap());
    assert_eq!(a.fields[0].name, b.fields[0].name);
    assert_ne!(a.fields[0].kind, b.fields[0].kind);
    assert!(problems.is_empty());
}
