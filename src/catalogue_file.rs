//! Reads catalogue files: those compiled in, and those of a directory of the operator's.
//!
//! One file describes the models of one lab or one provider:
//!
//! ```toml
//! [defaults]                       # any key of a model but its identifier
//! media = "image"
//! price_source = "published"
//! ratios = ["1:1", "16:9"]         # the first is the default, here and below
//! formats = ["png", "jpg"]
//! fields = ["generation_seed"]
//!
//! [fields.generation_seed]         # what a field accepts, to be named by models
//! type = "integer"                 # integer | number | boolean | text | enum | enum_list
//! min = 0
//! max = 2147483647
//!
//! [fields.wide_seed]               # another shape of the same field, for other models
//! name = "generation_seed"
//! type = "integer"
//! min = 0
//! max = 4294967295
//!
//! [[model]]
//! identifier = "lab/model"
//! price = 0.005                    # or { 720p_audio = 0.062, 720p_noaudio = 0.041 }
//! stack = [                        # in the order in which they are tried
//!   { provider = "bfl", model = "their-name" },
//!   { provider = "replicate", model = "owner/their-name" },
//! ]
//! ```
//!
//! A model of the operator's takes the place of a built-in one with the same identifier, as a
//! whole. What the values must be is decided by [`Catalogue::build`]; this file knows TOML.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

use actors::catalogue::Catalogue;
use actors::catalogue::spec::{
    CatalogueProblem, FieldSpec, ModelSpec, OfferSpec, Place, PriceSpec,
};
use serde::Deserialize;
use toml::Spanned;

/// The models of the embedded provider.
const SANDBOX: (&str, &str) = ("catalogue/sandbox.toml", include_str!("../catalogue/sandbox.toml"));

/// Where models come from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Whether the models of the embedded provider are offered.
    pub sandbox: bool,
    /// The operator's own files, `*.toml` in this directory, in the order of their names.
    pub directory: Option<&'a Path>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file or the directory cannot be read.
    #[error("the catalogue cannot be read: {path}")]
    Unreadable {
        path: String,
        #[source]
        source: io::Error,
    },
    /// A file says something wrong.
    #[error("the catalogue is not valid:{}", Lines(.0))]
    Invalid(Vec<CatalogueProblem>),
}

struct Lines<'a>(&'a [CatalogueProblem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Reads and checks everything.
///
/// # Errors
/// All problems of all files.
pub fn load(sources: Sources<'_>) -> Result<Catalogue, CatalogueError> {
    let built_in: &[(&str, &str)] = if sources.sandbox { &[SANDBOX] } else { &[] };
    let own = match sources.directory {
        None => Vec::new(),
        Some(directory) => read_directory(directory)?,
    };
    let mut problems = Vec::new();
    let mut models = Vec::new();
    for (file, text) in built_in {
        models.extend(parse(file, text, &mut problems));
    }
    let mut own_models = Vec::new();
    for (file, text) in &own {
        own_models.extend(parse(file, text, &mut problems));
    }
    if !problems.is_empty() {
        return Err(CatalogueError::Invalid(problems));
    }
    Catalogue::build(overridden(models, own_models)).map_err(CatalogueError::Invalid)
}

/// Puts each of the operator's models in the place of the built-in one it overrides, the rest
/// at the end. A second model of the operator's with one identifier stays, to be refused.
fn overridden(mut models: Vec<ModelSpec>, mut own: Vec<ModelSpec>) -> Vec<ModelSpec> {
    for model in &mut models {
        if let Some(index) = own.iter().position(|own| own.identifier == model.identifier) {
            *model = own.remove(index);
        }
    }
    models.append(&mut own);
    models
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, CatalogueError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| CatalogueError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).map_err(unreadable(path))?;
        Ok((path.display().to_string(), text))
    };
    paths.iter().map(read).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    #[serde(default)]
    defaults: ModelIn,
    #[serde(default)]
    fields: BTreeMap<String, FieldIn>,
    #[serde(default, rename = "model")]
    models: Vec<Spanned<ModelIn>>,
}

/// A model, or the defaults of a file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ModelIn {
    identifier: Option<String>,
    media: Option<String>,
    price: Option<PriceIn>,
    price_source: Option<String>,
    stack: Option<Vec<OfferIn>>,
    ratios: Option<Vec<String>>,
    formats: Option<Vec<String>>,
    output_number_max: Option<u32>,
    input_files_min: Option<u32>,
    input_files_max: Option<u32>,
    last_frame: Option<bool>,
    durations: Option<Vec<f64>>,
    resolutions: Option<Vec<String>>,
    audio: Option<bool>,
    fields: Option<Vec<String>>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "expected a number, or a table of numbers by tier")]
enum PriceIn {
    Flat(f64),
    Tiers(BTreeMap<String, f64>),
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct OfferIn {
    provider: String,
    model: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldIn {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    min: Option<f64>,
    max: Option<f64>,
    values: Option<Vec<String>>,
    default: Option<serde_json::Value>,
}

/// The models of one file.
fn parse(file: &str, text: &str, problems: &mut Vec<CatalogueProblem>) -> Vec<ModelSpec> {
    let line_at = |offset: usize| {
        text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    };
    let place = |line| Place { file: file.to_owned(), line };
    let whole_file = |line, field: &str, reason: &str| CatalogueProblem {
        place: place(line),
        model: String::new(),
        field: field.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed: FileIn = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().map(|span| line_at(span.start));
            problems.push(whole_file(line, "", error.message()));
            return Vec::new();
        }
    };
    if parsed.defaults.identifier.is_some() {
        problems.push(whole_file(None, "defaults.identifier", "is different for every model"));
    }
    let mut specs = Vec::with_capacity(parsed.models.len());
    for model in parsed.models {
        let place = place(Some(line_at(model.span().start)));
        specs.push(spec(model.into_inner(), place, &parsed.defaults, &parsed.fields, problems));
    }
    specs
}

fn spec(
    model: ModelIn,
    place: Place,
    defaults: &ModelIn,
    definitions: &BTreeMap<String, FieldIn>,
    problems: &mut Vec<CatalogueProblem>,
) -> ModelSpec {
    let identifier = model.identifier.unwrap_or_default();
    let mut fields = Vec::new();
    for label in or_default(model.fields, &defaults.fields).unwrap_or_default() {
        match definitions.get(&label) {
            Some(definition) => fields.push(definition.spec(&label)),
            None => problems.push(CatalogueProblem {
                place: place.clone(),
                model: identifier.clone(),
                field: "fields".to_owned(),
                reason: format!("there is no [fields.{label}] in this file"),
            }),
        }
    }
    let offer = |offer: OfferIn| OfferSpec { provider: offer.provider, raw_model_id: offer.model };
    let stack = or_default(model.stack, &defaults.stack).unwrap_or_default();
    ModelSpec {
        place,
        identifier,
        media: or_default(model.media, &defaults.media),
        price: or_default(model.price, &defaults.price).map(|price| match price {
            PriceIn::Flat(rate) => PriceSpec::Flat(rate),
            PriceIn::Tiers(tiers) => PriceSpec::Tiers(tiers),
        }),
        price_source: or_default(model.price_source, &defaults.price_source),
        stack: stack.into_iter().map(offer).collect(),
        ratios: or_default(model.ratios, &defaults.ratios).unwrap_or_default(),
        formats: or_default(model.formats, &defaults.formats).unwrap_or_default(),
        output_number_max: or_default(model.output_number_max, &defaults.output_number_max)
            .unwrap_or(1),
        input_files_min: or_default(model.input_files_min, &defaults.input_files_min).unwrap_or(0),
        input_files_max: or_default(model.input_files_max, &defaults.input_files_max).unwrap_or(0),
        last_frame: or_default(model.last_frame, &defaults.last_frame).unwrap_or(false),
        durations: or_default(model.durations, &defaults.durations).unwrap_or_default(),
        resolutions: or_default(model.resolutions, &defaults.resolutions).unwrap_or_default(),
        audio: or_default(model.audio, &defaults.audio).unwrap_or(false),
        fields,
    }
}

fn or_default<T: Clone>(own: Option<T>, default: &Option<T>) -> Option<T> {
    own.or_else(|| default.clone())
}

impl FieldIn {
    fn spec(&self, label: &str) -> FieldSpec {
        FieldSpec {
            name: self.name.clone().unwrap_or_else(|| label.to_owned()),
            kind: self.kind.clone(),
            min: self.min,
            max: self.max,
            values: self.values.clone(),
            default: self.default.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
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
            load(Sources { sandbox, directory: Some(&self.0) })
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
    fn the_built_in_files_are_valid_and_can_be_switched_off() {
        let catalogue = load(Sources { sandbox: true, directory: None }).unwrap();
        let identifiers: Vec<&str> =
            catalogue.models().iter().map(|model| model.identifier.as_str()).collect();
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
        for model in catalogue.models() {
            assert_eq!(model.fields.len(), 4, "{}", model.identifier);
        }
        let failover = catalogue.find("sandbox/failover").unwrap();
        let order: Vec<&str> = failover.providers().map(|name| name.as_str()).collect();
        assert_eq!(order, ["sandbox_polling", "sandbox_webhook", "sandbox_inline"]);
        let video = catalogue.find("sandbox/video").unwrap();
        assert_eq!(video.durations_ms, (1..=10).map(|s| s * 1000).collect::<Vec<u64>>());
        assert!(video.last_frame);
        let none = load(Sources { sandbox: false, directory: None }).unwrap();
        assert!(none.models().is_empty());
        assert_ne!(none.version(), catalogue.version());
    }

    #[test]
    fn a_sandbox_request_can_ask_for_every_fault() {
        let catalogue = load(Sources { sandbox: true, directory: None }).unwrap();
        for model in catalogue.models() {
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
        assert_eq!(catalogue.models().len(), 6);
        assert_eq!(catalogue.models()[1].identifier, "sandbox/polling");
        assert_eq!(catalogue.models()[1].durations_ms, [5000, 7500]);
        assert_eq!(catalogue.models()[5].identifier, "own/model");
        assert_eq!(directory.load(false).unwrap().models().len(), 2);
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
        let error = load(Sources { sandbox: true, directory }).unwrap_err();
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
}
